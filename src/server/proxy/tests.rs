use proptest::prelude::*;

use super::*;

fn addr(text: &str) -> Source {
    Source::Client(text.parse().unwrap())
}

/// Version 2 with this second half of its fixed part and these octets behind it.
fn version_2(command: u8, protocol: u8, rest: &[u8]) -> Vec<u8> {
    let mut octets = SIGNATURE.to_vec();
    octets.extend([command, protocol]);
    octets.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    octets.extend(rest);
    octets
}

/// As a listener reads: never more than is wanted. Gives the result and how many octets were read.
fn read(octets: &[u8]) -> (Result<Step, Bad>, usize) {
    let mut have = 0;
    loop {
        match header(&octets[..have]) {
            Ok(Step::Wants(more)) if have + more <= octets.len() => {
                assert!(more > 0);
                have += more;
            }
            done => return (done, have),
        }
    }
}

/// What a header with other octets behind it says, none of which may be read.
fn says(octets: &[u8]) -> Result<Step, Bad> {
    let (result, read) = read(&[octets, &b"\x16\x03\x01"[..]].concat());
    if let Ok(Step::Whole(_)) = result {
        assert_eq!(read, octets.len(), "{}", octets.escape_ascii());
    }
    result
}

#[test]
fn version_1_tells_the_clients_address() {
    for (line, source) in [
        (
            "PROXY TCP4 192.0.2.1 198.51.100.9 56324 110\r\n",
            addr("192.0.2.1:56324"),
        ),
        (
            "PROXY TCP6 2001:db8::1 2001:db8::2 1 995\r\n",
            addr("[2001:db8::1]:1"),
        ),
        (
            "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n",
            addr("192.0.2.1:1"),
        ),
        ("PROXY UNKNOWN\r\n", Source::Proxy),
        (
            "PROXY UNKNOWN ffff:f...f:ffff whatever 65535 65535\r\n",
            Source::Proxy,
        ),
    ] {
        assert_eq!(says(line.as_bytes()), Ok(Step::Whole(source)), "{line}");
    }
    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(LONGEST_LINE - 16));
    assert_eq!(longest.len(), LONGEST_LINE);
    assert_eq!(says(longest.as_bytes()), Ok(Step::Whole(Source::Proxy)));
}

#[test]
fn version_2_tells_the_clients_address_and_what_else_it_says_is_passed_over() {
    let v4 = [192, 0, 2, 1, 198, 51, 100, 9, 0xdc, 0x04, 0, 110];
    let mut v6 = [0; 36];
    v6[..4].copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
    v6[15] = 1;
    v6[33] = 7;
    // An authority (SNI) behind the addresses.
    let tlv = [&v4[..], b"\x02\x00\x04mail"].concat();
    for (octets, source) in [
        (version_2(0x21, 0x11, &v4), addr("192.0.2.1:56324")),
        (version_2(0x21, 0x11, &tlv), addr("192.0.2.1:56324")),
        (version_2(0x21, 0x21, &v6), addr("[2001:db8::1]:7")),
        // A health check, with and without addresses.
        (version_2(0x20, 0x00, b""), Source::Proxy),
        (version_2(0x20, 0x11, &v4), Source::Proxy),
        (version_2(0x21, 0x00, b"anything"), Source::Proxy),
        (version_2(0x21, 0x31, &[0; 216]), Source::Proxy),
    ] {
        assert_eq!(
            says(&octets),
            Ok(Step::Whole(source)),
            "{}",
            octets.escape_ascii()
        );
    }
}

#[test]
fn what_is_no_header_is_known_as_soon_as_it_is_certain() {
    for (octets, bad) in [
        (&b"USER ann\r\nPASS pw\r\n"[..], Bad::Start),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdef",
            Bad::Start,
        ),
        (b"\r\n\r\n\0\r\nQUIX\n............", Bad::Start),
        (b"proxy tcp4 192.0.2.1 192.0.2.2 1 2\r\n", Bad::Start),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", Bad::Line),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", Bad::Line),
        (b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", Bad::Line),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", Bad::Line),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", Bad::Line),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", Bad::Line),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n", Bad::Line),
        (b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", Bad::Line),
        (b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", Bad::Line),
        (b"PROXY TCP4 localhost localhost 1 2\r\n", Bad::Line),
        (b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", Bad::Protocol),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", Bad::Line),
        (b"PROXY UNKNOWNS\r\n", Bad::Line),
        (
            b"PROXY \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\r\n",
            Bad::Line,
        ),
    ] {
        assert_eq!(says(octets), Err(bad), "{}", octets.escape_ascii());
    }
    assert_eq!(
        says(&[b"PROXY TCP4 ".as_slice(), &[b'1'; 1000]].concat()),
        Err(Bad::Line)
    );
    for (octets, bad) in [
        (version_2(0x11, 0x11, &[0; 12]), Bad::Version),
        (version_2(0x22, 0x11, &[0; 12]), Bad::Version),
        (version_2(0x21, 0x12, &[0; 12]), Bad::Protocol),
        (version_2(0x21, 0x41, &[0; 12]), Bad::Protocol),
        (version_2(0x21, 0x11, &[0; 11]), Bad::Length),
        (version_2(0x21, 0x21, &[0; 35]), Bad::Length),
        (
            version_2(0x20, 0x00, &[0; LONGEST - FIXED + 1]),
            Bad::Length,
        ),
    ] {
        assert_eq!(says(&octets), Err(bad), "{}", octets.escape_ascii());
    }
}

proptest! {
    #[test]
    fn any_octets_are_read_without_a_panic_and_within_the_limit(octets in proptest::collection::vec(any::<u8>(), 0..5000)) {
        let (_, read) = read(&octets);
        prop_assert!(read <= LONGEST);
    }

    #[test]
    fn octets_that_begin_like_a_header_are_read_without_a_panic_and_within_the_limit(
        line in "PROXY (TCP4|TCP6|UNKNOWN|.{0,5})[ 0-9a-f:.]{0,120}(\r\n|\n|\r)?.{0,20}",
        command in any::<u8>(),
        protocol in any::<u8>(),
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let (_, octets) = read(line.as_bytes());
        prop_assert!(octets <= LONGEST_LINE);
        let (result, _) = read(&version_2(command, protocol, &rest));
        prop_assert!(!matches!(result, Ok(Step::Wants(_))), "it is whole or bad");
    }

    #[test]
    fn every_address_is_read_as_it_was_written(
        ip in prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)],
        from in any::<u16>(),
        tlvs in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let source = Ok(Step::Whole(client(ip, from)));
        let (name, protocol, octets) = match ip {
            IpAddr::V4(ip) => ("TCP4", 0x11, ip.octets().to_vec()),
            IpAddr::V6(ip) => ("TCP6", 0x21, ip.octets().to_vec()),
        };
        let line = format!("PROXY {name} {ip} {ip} {from} 110\r\n");
        prop_assert_eq!(says(line.as_bytes()), source);
        let ports = [from.to_be_bytes(), [0, 110]].concat();
        let rest = [&octets[..], &octets, &ports, &tlvs].concat();
        prop_assert_eq!(says(&version_2(0x21, protocol, &rest)), source);
    }
}
