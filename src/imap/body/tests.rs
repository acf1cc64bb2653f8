use super::*;

const WHOLE: Part = Part::Whole;

fn read(text: &str, part: Part) -> Option<Head> {
    Head::read(text.as_bytes(), part)
}

#[test]
fn a_head_is_read_whatever_the_order_and_the_company() {
    for text in [
        "* 1 FETCH (UID 7 BODY[] {0}\r\n)\r\n",
        "* 1 FETCH (FLAGS (\\Seen) UID 7 MODSEQ (12) BODY[] {0}\r\n)\r\n",
        "* 1 fetch (uid 7 x-new (a b) body[]<0> {0}\r\n)\r\n",
    ] {
        let head = read(text, WHOLE).unwrap();
        assert_eq!(head.uid, Uid::new(7), "{text}");
        assert_eq!((head.bodies, head.ends_in_body), (1, true), "{text}");
    }
    let behind = read("* 1 FETCH (BODY[] {0}\r\n UID 7)\r\n", WHOLE).unwrap();
    assert_eq!(
        (behind.uid, behind.bodies, behind.ends_in_body),
        (Uid::new(7), 1, false)
    );
}

#[test]
fn another_section_is_no_body() {
    let header = "* 1 FETCH (UID 7 BODY[HEADER] {0}\r\n)\r\n";
    assert_eq!(read(header, WHOLE).unwrap().bodies, 0);
    assert_eq!(read(header, Part::Header).unwrap().bodies, 1);
    for other in ["TEXT", "1", "1.HEADER", "1.MIME"] {
        let text = format!("* 1 FETCH (UID 7 BODY[{other}] {{0}}\r\n)\r\n");
        assert_eq!(read(&text, WHOLE).unwrap().bodies, 0, "{other}");
        assert_eq!(read(&text, Part::Header).unwrap().bodies, 0, "{other}");
    }
}

#[test]
fn a_quoted_body_is_unescaped_and_nil_is_none() {
    let quoted = read(
        "* 1 FETCH (UID 7 BODY[] \"a \\\"b\\\" \\\\ c\u{e9}\")\r\n",
        WHOLE,
    )
    .unwrap();
    assert_eq!(quoted.quoted.unwrap(), "a \"b\" \\ c\u{e9}".as_bytes());
    let empty = read("* 1 FETCH (UID 7 BODY[] \"\")\r\n", WHOLE).unwrap();
    assert_eq!(empty.quoted.unwrap(), b"".as_slice());
    let nil = read("* 1 FETCH (UID 7 BODY[] NIL)\r\n", WHOLE).unwrap();
    assert_eq!((nil.bodies, nil.quoted), (1, None));
}

#[test]
fn a_range_is_believed_only_with_its_origin_and_not_beyond_its_length() {
    let first = Part::Range {
        offset: 0,
        length: 10,
    };
    let later = Part::Range {
        offset: 10,
        length: 10,
    };
    assert!(first.fits(Some(0), 10) && first.fits(None, 10) && first.fits(None, 5000));
    assert!(!first.fits(Some(10), 10));
    assert!(later.fits(Some(10), 10) && later.fits(Some(10), 0));
    assert!(!later.fits(None, 10) && !later.fits(Some(0), 10) && !later.fits(Some(10), 11));
    assert!(first.is_exceeded_by(11) && !first.is_exceeded_by(10));
    assert!(!WHOLE.is_exceeded_by(5000) && WHOLE.fits(None, 5000) && !WHOLE.fits(Some(5), 5));
}
