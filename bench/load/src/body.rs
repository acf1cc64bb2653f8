//! A multi-line answer of POP3, looked at while it arrives: where it ends, and what it is without its stuffed dots.

/// Where a piece of an answer stops.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// So many octets are done with; the rest is the beginning of a line and wants to be seen again with what follows.
    pub(crate) consumed: usize,
    /// The final "." was among them.
    pub(crate) finished: bool,
}

/// Looks at `data`, which begins at the start of a line, and gives what the message has to `emit`, in runs as long as possible.
pub(crate) fn scan(data: &[u8], mut emit: impl FnMut(&[u8])) -> Scanned {
    let mut run = 0; // what has not been given away yet begins here
    let mut line = 0; // the start of the line that is looked at
    while line < data.len() {
        let mut text = line;
        if data[line] == b'.' {
            let Some(next) = data.get(line + 1..line + 3) else {
                break; // the end or a stuffed dot: not known yet
            };
            if run < line {
                emit(&data[run..line]);
            }
            if next == b"\r\n" {
                return Scanned {
                    consumed: line + 3,
                    finished: true,
                };
            }
            text += 1;
            run = text;
        }
        match memchr::memchr(b'\n', &data[text..]) {
            Some(length) => line = text + length + 1,
            None => break,
        }
    }
    if run < line {
        emit(&data[run..line]);
    }
    Scanned {
        consumed: line,
        finished: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message and what is left over, when the answer comes in pieces of so many octets.
    fn in_pieces(answer: &[u8], size: usize) -> (Vec<u8>, usize, bool) {
        let (mut held, mut message, mut fed) = (Vec::new(), Vec::new(), 0);
        for piece in answer.chunks(size) {
            held.extend_from_slice(piece);
            fed += piece.len();
            let scanned = scan(&held, |run| message.extend_from_slice(run));
            held.drain(..scanned.consumed);
            if scanned.finished {
                return (message, answer.len() - fed + held.len(), true);
            }
        }
        (message, held.len(), false)
    }

    #[test]
    fn dots_are_unstuffed_wherever_the_pieces_break() {
        let answer = b"one\r\n..two\r\n...\r\n\r\n..\r\nthree.\r\n.\r\n+OK next\r\n";
        for size in 1..=answer.len() {
            let (message, left, finished) = in_pieces(answer, size);
            assert_eq!(
                message, b"one\r\n.two\r\n..\r\n\r\n.\r\nthree.\r\n",
                "{size}"
            );
            assert!(finished && left == 10, "{size}: {left}");
        }
    }

    #[test]
    fn an_empty_answer_has_an_end() {
        let (message, left, finished) = in_pieces(b".\r\n", 1);
        assert!(message.is_empty() && left == 0 && finished);
    }

    #[test]
    fn what_breaks_off_has_none() {
        let (message, _, finished) = in_pieces(b"one\r\n..two\r\n.\r", 4);
        assert!(!finished);
        assert_eq!(message, b"one\r\n.two\r\n");
    }
}
