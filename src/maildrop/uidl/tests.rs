//! Other servers' unique-ids, and that no template spells two messages alike.

use proptest::prelude::*;

use super::*;
use crate::maildrop::index::{Uid, UidValidity};

fn render(format: &str, uid_validity: u32, uid: u32, gm_msgid: u64) -> String {
    let format = Format::parse(format).unwrap();
    let uid_validity = UidValidity::new(uid_validity).unwrap();
    let uid = Uid::new(uid).unwrap();
    format.render(uid_validity, uid, gm_msgid).to_string()
}

#[test]
fn each_preset_spells_what_that_server_shows() {
    let table = [
        ("default", "1139753518-1"),
        ("dovecot", "0000000143ef422e"),
        ("cyrus", "1139753518.1"),
        ("courier", "UID1-1139753518"),
        ("gmail", "GmailId18c5a2b3d4e5f607"),
    ];
    for (name, expected) in table {
        let gm_msgid = 0x18c5_a2b3_d4e5_f607;
        assert_eq!(render(name, 0x43ef_422e, 1, gm_msgid), expected, "{name}");
    }
}

#[test]
fn the_default_is_the_preset_of_that_name() {
    assert_eq!(Format::parse("default"), Ok(Format::default()));
}

#[test]
fn templates_take_decimal_and_hexadecimal_fields() {
    let template = "x-{uidvalidity:08x}{uid:08x}/{gm_msgid:016x}";
    assert_eq!(
        render(template, 1, 255, 10),
        "x-00000001000000ff/000000000000000a"
    );
    assert_eq!(render("{uid}", 1, 255, 0), "255");
    assert_eq!(render("{uid:x}", 1, 255, 0), "ff");
    assert_eq!(Format::parse(template).unwrap().to_string(), template);
}

#[test]
fn only_templates_with_the_gmail_number_need_it() {
    assert!(Format::parse("gmail").unwrap().needs_gm_msgid());
    assert!(!Format::parse("dovecot").unwrap().needs_gm_msgid());
}

#[test]
fn a_template_that_cannot_work_is_refused_in_words() {
    let table = [
        ("", "neither one of default"),
        ("exchange", "neither one of default"),
        ("{uidvalidity}", "look alike"),
        ("{uidvalidity}{uid}", "separator"),
        ("{uidvalidity}0{uid}", "separator"),
        ("{uidvalidity:x}{gm_msgid:08x}", "separator"),
        ("{uidvalidity}{uid:08x}{gm_msgid}", "separator"),
        ("{uid", "no }"),
        ("}{uid}", "'}'"),
        ("{uid} {uidvalidity}", "' '"),
        ("ü{uid}", "'ü'"),
        ("{uid:04x}", "{uid:08x}"),
        ("{UID}", "no field {UID}"),
        ("{}", "no field {}"),
        ("{uid}-{uid}-{uid}-{uid}-{uid}-{uid}-{uid}", "76 octets"),
    ];
    for (template, words) in table {
        let refusal = Format::parse(template).unwrap_err();
        assert!(refusal.contains(words), "{template}: {refusal}");
    }
}

#[test]
fn a_fixed_width_needs_no_separator() {
    for template in [
        "{uidvalidity}{uid:08x}",
        "{gm_msgid}-{uid:08x}{uidvalidity}",
    ] {
        assert!(Format::parse(template).is_ok(), "{template}");
    }
}

#[test]
fn only_what_rfc_1939_allows_is_a_unique_id() {
    assert_eq!(
        Uidl::new("whqtswO00WBw418f9t5JxYwZ")
            .unwrap()
            .as_str()
            .len(),
        24
    );
    assert!(Uidl::new(&"x".repeat(70)).is_some());
    for wrong in ["", "a b", "a\r\nb", "ü", "\u{7f}", &"x".repeat(71)] {
        assert_eq!(Uidl::new(wrong), None, "{wrong:?}");
    }
}

fn template() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[0-9a-z.-]{1,3}",
        proptest::sample::select(vec![
            "{uid}",
            "{uid:x}",
            "{uid:08x}",
            "{uidvalidity}",
            "{uidvalidity:08x}",
            "{gm_msgid}",
            "{gm_msgid:x}",
            "{gm_msgid:016x}",
        ])
        .prop_map(str::to_owned),
    ];
    proptest::collection::vec(part, 1..6).prop_map(|parts| parts.concat())
}

/// Small numbers collide more readily than large ones.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![1_u32..130, any::<u32>().prop_map(|number| number.max(1))]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_accepted_template_renders_valid_unique_ids(
        template in template(), validity in number(), uid in number(), msgid: u64,
    ) {
        prop_assume!(Format::parse(&template).is_ok());
        prop_assert!(Uidl::new(&render(&template, validity, uid, msgid)).is_some());
    }

    #[test]
    fn no_accepted_template_spells_two_messages_alike(
        template in template(), one in (number(), number()), other in (number(), number()),
    ) {
        prop_assume!(Format::parse(&template).is_ok());
        // Message ids that differ exactly where the UIDs do.
        let shown = |(validity, uid)| render(&template, validity, uid, u64::from(uid));
        if shown(one) == shown(other) {
            prop_assert_eq!(one.1, other.1);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*|[{}uid:x08]*") {
        let _ = Format::parse(&text);
    }
}
