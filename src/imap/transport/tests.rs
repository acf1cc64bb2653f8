use proptest::prelude::*;
use tokio::io::{AsyncWriteExt as _, DuplexStream};

use super::*;
use crate::imap::bench::Nobody;

const PATIENCE: Duration = Duration::from_secs(60);

fn transport(socket: DuplexStream) -> Transport {
    Transport::new(Box::new(socket), Arc::new(Nobody), PATIENCE)
}

/// A transport after the log-in whose server sends these pieces, each by itself, and then hangs up.
fn after_login(pieces: Vec<Vec<u8>>) -> Transport {
    let (ours, mut theirs) = tokio::io::duplex(64);
    tokio::spawn(async move {
        for piece in pieces {
            if theirs.write_all(&piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    let mut transport = transport(ours);
    transport.login_done();
    transport
}

fn on_paused_time<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

/// Everything that a server says: whole responses, or lines and literals where they are streamed.
async fn all(transport: &mut Transport, streamed: bool) -> (Vec<Vec<u8>>, String) {
    let mut said = Vec::new();
    let end = loop {
        let line = match transport.line().await {
            Ok(line) => line,
            Err(error) => break error,
        };
        if !streamed {
            match transport.whole(line).await {
                Ok(whole) => said.push(whole.to_vec()),
                Err(error) => break error,
            }
            continue;
        }
        let mut text = line.content.to_vec();
        text.extend_from_slice(b"\r\n");
        let end = loop {
            match transport.literal().await {
                Ok(Some(piece)) => text.extend_from_slice(&piece),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        said.push(text);
        if let Some(error) = end {
            break error;
        }
    };
    (said, end.to_string())
}

/// One response: text, and literals of any octets in it.
fn response() -> impl Strategy<Value = Vec<u8>> {
    let literal = prop::collection::vec(any::<u8>(), 0..200);
    let text = "[ -z]{0,20}";
    (text, prop::collection::vec((literal, text), 0..3)).prop_map(|(start, rest)| {
        let mut out = format!("* X{start}").into_bytes();
        for (literal, text) in rest {
            out.extend(format!(" {{{}}}\r\n", literal.len()).into_bytes());
            out.extend(literal);
            out.extend(text.into_bytes());
        }
        out.extend(b"\r\n");
        out
    })
}

fn cut(wire: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let (mut pieces, mut rest) = (Vec::new(), wire);
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at((*cut).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = behind;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_of_the_servers_octets_gives_the_same(
        responses in prop::collection::vec(response(), 1..8),
        cuts in prop::collection::vec(1usize..90, 1..30),
        lost in 0usize..40,
    ) {
        let mut wire = responses.concat();
        wire.truncate(wire.len() - lost.min(wire.len()));
        for streamed in [false, true] {
            let at_once = on_paused_time(async {
                all(&mut after_login(vec![wire.clone()]), streamed).await
            });
            let in_pieces = on_paused_time(async {
                all(&mut after_login(cut(&wire, &cuts)), streamed).await
            });
            prop_assert_eq!(&at_once, &in_pieces);
            if lost == 0 && !streamed {
                prop_assert_eq!(&at_once.0, &responses);
            }
        }
    }

    #[test]
    fn no_octets_make_it_panic_or_wait(wire in prop::collection::vec(any::<u8>(), 0..300)) {
        for streamed in [false, true] {
            let (_, end) = on_paused_time(async {
                all(&mut after_login(vec![wire.clone()]), streamed).await
            });
            prop_assert!(!end.is_empty());
        }
    }
}

#[test]
fn the_end_of_the_stream_is_an_error_wherever_it_comes() {
    for wire in [
        "",
        "* 1 FET",
        "* X {5}\r\n",
        "* X {5}\r\nabc",
        "* X {2}\r\nab",
        "* OK\r\n",
    ] {
        let (_, end) =
            on_paused_time(async { all(&mut after_login(vec![wire.into()]), false).await });
        assert!(end.contains("closed the connection"), "{wire:?}: {end}");
    }
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    on_paused_time(async {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut transport = transport(ours);
        transport.login_done();
        theirs.write_all(b"* X {5}\r\nab").await.unwrap();
        assert_eq!(transport.line().await.unwrap().literal, Some(5));
        assert_eq!(transport.literal().await.unwrap().unwrap(), "ab");
        let outcome = transport.literal().await;
        assert!(matches!(outcome, Err(Error::Timeout(_))), "{outcome:?}");
    });
}

#[test]
fn lines_and_literals_have_limits() {
    let literal = [b" {60000}\r\n".to_vec(), vec![b'x'; 60_000]].concat();
    let many_literals = [b"* X".to_vec(), literal.repeat(20)].concat();
    for (wire, says) in [
        (vec![b'x'; LINE_LIMIT + 2], "a line"),
        (b"* X {65537}\r\n".to_vec(), "not asked for"),
        (b"* X {4294967296}\r\n".to_vec(), "a literal"),
        (many_literals, "not asked for"),
    ] {
        let (said, end) = on_paused_time(async { all(&mut after_login(vec![wire]), false).await });
        assert_eq!(said.len(), 0);
        assert!(end.starts_with("too long: ") && end.contains(says), "{end}");
    }
    // Before the log-in lines are shorter.
    on_paused_time(async {
        let (ours, mut theirs) = tokio::io::duplex(LINE_LIMIT);
        theirs
            .write_all(&vec![b'x'; LINE_LIMIT_BEFORE_LOGIN + 2])
            .await
            .unwrap();
        let outcome = transport(ours).line().await;
        assert!(matches!(outcome, Err(Error::TooLong(_))), "{outcome:?}");
    });
}

#[test]
fn the_imap_crate_is_given_a_digest_and_never_the_text() {
    on_paused_time(async {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let mut transport = transport(ours);
        transport.write_all(b"A7 LOGIN x y\r\n").await.unwrap();
        transport.flush().await.unwrap();
        theirs
            .write_all(
                "* OK [ALERT]\u{fc}\r\n* NAMESPACE ((\r\n+ c2F5\r\n* CAPABILITY IDLE\r\nA7 NO [UNAVAILABLE] \u{fc}\r\n* 5 EXISTS\r\n"
                    .as_bytes(),
            )
            .await
            .unwrap();
        let mut given = [0; 64];
        let n = transport.read(&mut given).await.unwrap();
        assert_eq!(&given[..n], b"+ \r\n");
        let n = transport.read(&mut given).await.unwrap();
        assert_eq!(&given[..n], b"A7 NO no\r\n");
        assert_eq!(
            transport.take_tagged().unwrap().code_name(),
            Some("UNAVAILABLE")
        );
        assert!(transport.take_capabilities().unwrap().has("IDLE"));
        assert_eq!(transport.unread(), b"* 5 EXISTS\r\n".len());
        assert!(!format!("{transport:?}").contains("LOGIN"));
    });
}

#[test]
fn an_answer_to_another_command_ends_the_log_in() {
    on_paused_time(async {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let mut transport = transport(ours);
        transport.write_all(b"A7 LOGIN x y\r\n").await.unwrap();
        transport.flush().await.unwrap();
        theirs
            .write_all(b"A6 OK welcome\r\nA7 NO no\r\n")
            .await
            .unwrap();
        assert!(transport.read(&mut [0; 64]).await.is_err());
        assert!(matches!(transport.take_trouble(), Some(Error::Protocol(_))));
    });
}
