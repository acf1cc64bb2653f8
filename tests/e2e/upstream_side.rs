//! What the upstream side offers to the bridge, against real servers: who a message is, acting on it, copies that are found again.

use std::sync::Arc;
use std::time::Duration;

use popbridge::config::Security;
use popbridge::imap::bench::Nobody;
use popbridge::imap::{
    Acted, Connection, Copied, Credentials, Destinations, Endpoint, Error, Extensions, Identity,
    Proof, Removal, Target, to_wire,
};
use popbridge::maildrop::{Uid, UidValidity};
use popbridge::policy::{Action, Archive, Trash};
use popbridge::secret::Secret;

use crate::support::cyrus::Cyrus;
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::imap::Imap;
use crate::support::mail::ordinary_mail;

/// A server with five messages in ann's INBOX.
enum Server {
    Dovecot(Dovecot),
    Cyrus(Cyrus),
}

impl Server {
    fn both() -> [Self; 2] {
        [Self::dovecot(), Self::cyrus()]
    }

    fn dovecot() -> Self {
        let dovecot = Dovecot::start();
        dovecot.maildir("ann").fill(&ordinary_mail(5));
        Self::Dovecot(dovecot)
    }

    fn cyrus() -> Self {
        let cyrus = Cyrus::start();
        cyrus.fill("ann", &ordinary_mail(5));
        Self::Cyrus(cyrus)
    }

    fn url(&self) -> String {
        match self {
            Self::Dovecot(server) => server.plain_url(),
            Self::Cyrus(server) => server.plain_url(),
        }
    }

    /// Somebody else's connection, to look behind the bridge's back.
    fn imap(&self) -> Imap {
        match self {
            Self::Dovecot(server) => Imap::log_in(server.imap_port, "ann", PASSWORD),
            Self::Cyrus(server) => server.imap("ann"),
        }
    }

    async fn connect(&self) -> Connection {
        let url = self.url();
        let (host, port) = url["imap://".len()..].rsplit_once(':').unwrap();
        let endpoint = Endpoint {
            host: host.to_owned(),
            port: port.parse().unwrap(),
            security: Security::Off,
            tls: None,
            connect_timeout: Duration::from_secs(20),
            command_timeout: Duration::from_secs(20),
            extensions: Extensions::default(),
            observer: Arc::new(Nobody),
        };
        let credentials = Credentials {
            user: "ann".to_owned(),
            proof: Proof::Password(Secret::new(PASSWORD.to_owned())),
        };
        endpoint.open(&credentials).await.unwrap()
    }
}

fn uids(numbers: &[u32]) -> Vec<Uid> {
    numbers.iter().map(|n| Uid::new(*n).unwrap()).collect()
}

fn to() -> Destinations {
    Destinations {
        trash: Trash::SpecialUse,
        archive: Archive::Folder("Ar\u{fc}".to_owned()),
        expunge_without_uidplus: false,
    }
}

fn flags(imap: &mut Imap) -> Vec<(u32, String)> {
    let mail = imap.fetch_all("INBOX").into_iter();
    mail.map(|m| (m.uid, m.flags.replace("\\Recent", "").trim().to_owned()))
        .collect()
}

/// The messages 1 to 5 as they are, and the folder's generation.
async fn listed(connection: &mut Connection) -> (Vec<Target>, UidValidity) {
    let uid_validity = connection.examine("INBOX", false).await.unwrap();
    let wanted = uids(&[1, 2, 3, 4, 5]);
    let told = connection.identities(&wanted).await.unwrap();
    let target = |uid: &Uid| {
        let Identity {
            size,
            internal_date,
            gm_msgid,
        } = told[uid];
        Target {
            uid: *uid,
            size,
            internal_date,
            gm_msgid,
        }
    };
    (
        wanted.iter().map(target).collect(),
        uid_validity.uid_validity,
    )
}

async fn act(
    connection: &mut Connection,
    action: &Action,
    targets: &[Target],
    uid_validity: UidValidity,
) -> Result<Acted, Error> {
    let plan: Removal = connection.plan(action, &to()).await?;
    let mut acted = Acted::default();
    connection
        .act("INBOX", uid_validity, targets, &plan, &mut acted)
        .await
        .map(|()| acted)
}

#[tokio::test]
async fn real_servers_tell_who_a_message_is_and_nobody_sees_that_they_were_asked() {
    for server in Server::both() {
        let before = flags(&mut server.imap());
        let mut connection = server.connect().await;
        connection.examine("INBOX", false).await.unwrap();
        let wanted = uids(&[1, 3, 5, 77]);
        let told = connection.identities(&wanted).await.unwrap();
        assert_eq!(told.len(), 3);
        let hashes = connection.header_hashes(&wanted).await.unwrap();
        assert_eq!(hashes.len(), 3);
        let mut different: Vec<i64> = hashes.values().copied().collect();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), 3);
        let again = connection.header_hashes(&uids(&[5])).await.unwrap();
        assert_eq!(again[&wanted[2]], hashes[&wanted[2]]);
        for message in server.imap().fetch_all("INBOX") {
            if let Some(identity) = told.get(&Uid::new(message.uid).unwrap()) {
                assert_eq!(u64::from(identity.size), message.size);
            }
        }
        assert_eq!(flags(&mut server.imap()), before);
    }
}

#[tokio::test]
async fn real_servers_change_just_the_messages_that_were_meant() {
    for server in Server::both() {
        let mut connection = server.connect().await;
        let (mut targets, uid_validity) = listed(&mut connection).await;
        targets[1].internal_date += 60;
        targets.push(Target {
            uid: Uid::new(88).unwrap(),
            ..targets[0]
        });
        let [first, .., last] = [0, 1, 5];
        let some = [targets[first], targets[1], targets[last]];
        for action in [Action::Seen, Action::Flag("$Done".to_owned())] {
            let acted = act(&mut connection, &action, &some, uid_validity).await;
            let acted = acted.unwrap();
            assert_eq!(acted.done, uids(&[1]));
            assert_eq!(acted.mismatched, uids(&[2]));
            assert_eq!(acted.absent, uids(&[88]));
        }
        let now = flags(&mut server.imap());
        assert!(now[0].1.contains("\\Seen") && now[0].1.contains("$Done"));
        assert!(now[1..].iter().all(|(_, flags)| flags.is_empty()));
        let wire = to_wire("Ar\u{fc}");
        let missing = act(&mut connection, &Action::Archive, &some, uid_validity).await;
        assert!(matches!(missing, Err(Error::NoSuchFolder(_))));
        connection.create(&wire).await.unwrap();
        let acted = act(&mut connection, &Action::Archive, &some, uid_validity).await;
        assert_eq!(acted.unwrap().done, uids(&[1]));
        let expunged = [targets[2], targets[3]];
        let acted = act(&mut connection, &Action::Expunge, &expunged, uid_validity).await;
        assert_eq!(acted.unwrap().done, uids(&[3, 4]));
        let again = act(&mut connection, &Action::Expunge, &expunged, uid_validity).await;
        assert_eq!(again.unwrap().absent, uids(&[3, 4]));
        let left: Vec<u32> = flags(&mut server.imap()).iter().map(|m| m.0).collect();
        assert_eq!(left, [2, 5]);
        assert_eq!(server.imap().fetch_all(&wire).len(), 1);
    }
}

#[tokio::test]
async fn real_servers_tell_where_copies_are() {
    for server in Server::both() {
        let mut connection = server.connect().await;
        let hold = to_wire("Held back/by us & R\u{fc}diger").replace('/', "-");
        connection.examine("INBOX", false).await.unwrap();
        let mut copied = Copied::default();
        let wanted = uids(&[5, 2, 3, 99]);
        let outcome = connection.copy(&wanted, &hold, &mut copied).await;
        assert!(matches!(outcome, Err(Error::Refused { .. })));
        connection.create(&hold).await.unwrap();
        connection.create(&hold).await.unwrap();
        connection.copy(&wanted, &hold, &mut copied).await.unwrap();
        connection
            .copy(&uids(&[1]), &hold, &mut copied)
            .await
            .unwrap();
        let originals: Vec<Uid> = copied.pairs.iter().map(|pair| pair.0).collect();
        assert_eq!(originals, uids(&[2, 3, 5, 1]));
        let nothing = connection.copy(&uids(&[98]), &hold, &mut copied).await;
        assert!(nothing.is_ok(), "{nothing:?}");
        assert_eq!(copied.pairs.len(), 4);
        let same = connection.copy(&wanted, "inbox", &mut copied).await;
        assert!(matches!(same, Err(Error::SameFolder(_))));
        // Every copy is its original, octet for octet.
        let (inbox, held) = (
            server.imap().fetch_all("INBOX"),
            server.imap().fetch_all(&format!("\"{hold}\"")),
        );
        assert_eq!((inbox.len(), held.len()), (5, 4));
        for (original, copy) in &copied.pairs {
            let body = |mail: &[crate::support::imap::Fetched], uid: &Uid| {
                let found = mail.iter().find(|m| m.uid == uid.get());
                found.map(|m| m.body.clone()).expect("the message")
            };
            assert_eq!(body(&inbox, original), body(&held, copy));
        }
        let generation = connection.examine(&hold, false).await.unwrap();
        assert_eq!(copied.uid_validity, Some(generation.uid_validity));
    }
}
