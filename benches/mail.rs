//! Messages of the kinds that there are.

/// What an attachment looks like: lines of 76 octets of base64.
pub(crate) fn attachment(octets: usize) -> Vec<u8> {
    let line = b"VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZy4gVGhlIHF1aWNrIGJy\r\n";
    repeated(&[&line[..]], octets)
}

/// Prose: lines of all lengths, blank ones among them.
pub(crate) fn text(octets: usize) -> Vec<u8> {
    let lines = [
        &b"Dear all,\r\n"[..],
        b"\r\n",
        b"the meeting on Thursday begins half an hour later than usual, because the\r\n",
        b"room is taken until then. Please bring what you have got so far.\r\n",
        b"\r\n",
        b"> On Monday somebody wrote:\r\n",
        b"> Is there an agenda?\r\n",
        b"Here it is: first the figures of the last quarter, then what comes next...\r\n",
        b"-- \r\n",
        b"Kind regards\r\n",
    ];
    repeated(&lines, octets)
}

/// The same with the line ends that some servers keep.
pub(crate) fn text_with_lf(octets: usize) -> Vec<u8> {
    let mut text = text(octets + octets / 16);
    text.retain(|octet| *octet != b'\r');
    text.truncate(octets);
    text
}

/// Every other line begins with a dot.
pub(crate) fn dots(octets: usize) -> Vec<u8> {
    let lines = [&b".PP\r\n"[..], b"A page of a manual, as roff has it.\r\n"];
    repeated(&lines, octets)
}

fn repeated(lines: &[&[u8]], octets: usize) -> Vec<u8> {
    let mut mail: Vec<u8> = Vec::with_capacity(octets + 100);
    for line in lines.iter().cycle() {
        if mail.len() >= octets {
            break;
        }
        mail.extend_from_slice(line);
    }
    mail.truncate(octets);
    mail
}
