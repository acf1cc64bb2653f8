//! The spelling of refusals, whatever their text.

use proptest::prelude::*;

use super::*;

fn refused(refusal: &Refusal) -> String {
    let mut out = Vec::new();
    refuse(refusal, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn each_code_is_spelled_as_registered() {
    let table = [
        (Code::SysTemp, "-ERR [SYS/TEMP] Later.\r\n"),
        (Code::SysPerm, "-ERR [SYS/PERM] Later.\r\n"),
        (Code::Auth, "-ERR [AUTH] Later.\r\n"),
        (Code::InUse, "-ERR [IN-USE] Later.\r\n"),
        (Code::LoginDelay, "-ERR [LOGIN-DELAY] Later.\r\n"),
    ];
    for (code, expected) in table {
        assert_eq!(refused(&Refusal::new(code, "Later.")), expected);
    }
    assert_eq!(refused(&Refusal::plain("No.")), "-ERR No.\r\n");
}

#[test]
fn an_upstreams_words_cannot_end_the_line_or_pass_for_a_code() {
    let text = "[AUTH] no\r\n+OK \u{fc}ber\0";
    let refusal = Refusal {
        code: None,
        text: text.into(),
    };
    assert_eq!(refused(&refusal), "-ERR (AUTH] no??+OK ?ber?\r\n");
    let refusal = Refusal::new(Code::SysTemp, "[LIMIT] Rate limit hit");
    assert_eq!(
        refused(&refusal),
        "-ERR [SYS/TEMP] [LIMIT] Rate limit hit\r\n"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_refusal_is_always_one_printable_line_of_at_most_512_octets(text in "(?s).{0,700}") {
        let answer = refused(&Refusal::new(Code::SysPerm, text));
        prop_assert!(answer.len() <= 512);
        let line = answer.strip_suffix("\r\n").unwrap();
        prop_assert!(line.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
        prop_assert!(!is_ok(answer.as_bytes()));
    }
}
