//! `popbridge oauth login` by a device code on its bad days.

use crate::oauth_login::Place;
use crate::support::browser::consent;
use crate::support::oauth_server::Failure;

#[test]
fn a_device_code_can_be_denied_and_expire() {
    for (expires, words) in [
        (false, "the log-in was denied"),
        (true, "the code was not entered in time"),
    ] {
        let place = Place::new("grant = \"device\"");
        let mut login = place.login(&[]);
        login.line("enter the code");
        match expires {
            true => place.server.expire_device(),
            false => place.server.decide(Err(())),
        }
        place.fails(login, words);
    }
}

#[test]
fn trouble_with_a_device_code_is_told_as_what_it_is() {
    for (failure, words) in [
        (
            // It does not want to be asked before the code ends.
            Failure::Status(503, "3600"),
            "could not be asked at last: 127.0.0.1:",
        ),
        (
            Failure::Error("invalid_grant", "no such device code"),
            "does not accept the code: invalid_grant (no such device code)",
        ),
    ] {
        let place = Place::new("grant = \"device\"");
        place.server.fail(failure);
        place.fails(place.login(&[]), words);
    }
}

#[test]
fn an_address_for_device_codes_that_cannot_be_used_stops_only_who_needs_it() {
    let place = Place::new("");
    place.server.devices_at("http://idp.example/device");
    place.fails(
        place.login(&["--device"]),
        "the device_authorization_endpoint of the OpenID configuration",
    );
    let mut login = place.login(&["--no-browser"]);
    let back = consent(&login.address());
    login.paste(&back);
    let (status, said) = login.end();
    assert!(status.success(), "{said}");
    assert!(said.contains("There is no device code: "), "{said}");
}
