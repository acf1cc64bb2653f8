//! When an authorization server is asked where its things are: as seldom as possible, and again where it may have moved.

use crate::oauth_grants::{now, person, renew, renewal, tree};
use crate::support::oauth_server::{CLIENT_SECRET, Failure, OAuthServer};

const USER: &str = "ann@example.com";

fn discoveries(server: &OAuthServer) -> usize {
    let asked = server.asked().into_iter();
    let found = asked.filter(|asked| asked.path.contains("well-known"));
    found.count()
}

#[test]
fn a_server_that_may_have_moved_is_looked_for_again() {
    let (server, way, token) = person("");
    assert!(renew(&way, Some(&token)).is_ok());
    assert_eq!(discoveries(&server), 1);
    let mut expected = 1;
    for failure in [
        Failure::Status(404, ""),
        Failure::Status(302, ""),
        Failure::Status(502, ""),
        Failure::NotJson,
        Failure::Words("{}"),
    ] {
        server.fail_times(1, failure.clone());
        assert!(renew(&way, Some(&token)).is_err());
        assert!(renew(&way, Some(&token)).is_ok(), "{failure:?}");
        expected += 1;
        assert_eq!(discoveries(&server), expected, "{failure:?}");
    }
    // An answer of an authorization server's is one from where it is.
    for error in ["invalid_grant", "invalid_client", "temporarily_unavailable"] {
        server.fail_times(1, Failure::Error(error, ""));
        assert!(renew(&way, Some(&token)).is_err());
        assert!(renew(&way, Some(&token)).is_ok(), "{error}");
        assert_eq!(discoveries(&server), expected, "{error}");
    }
}

#[test]
fn a_server_is_not_asked_for_what_is_written_down() {
    let server = OAuthServer::start();
    let token = server.refresh_token(USER);
    let tree = tree();
    let written = format!("token_url = \"{}\"\n", server.url("/token"));
    let way = renewal(&tree, &server.table("x", &written), now);
    assert!(renew(&way, Some(&token)).is_ok());
    assert_eq!(discoveries(&server), 0);
    // But how it wants to see a secret is not.
    let secret = tree.write("secret", CLIENT_SECRET);
    let keys = format!("{written}client_secret_file = \"{}\"", secret.display());
    server.demand_basic();
    let way = renewal(&tree, &server.table("x", &keys), now);
    assert!(renew(&way, Some(&token)).is_ok());
    assert_eq!(discoveries(&server), 1);
    assert_eq!(server.asked().last().unwrap().form["basic"], "yes");
}
