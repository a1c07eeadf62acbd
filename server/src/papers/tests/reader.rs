//! Reads papers back, as far as they are made of what this module writes.

use std::collections::BTreeMap;

/// A page, as it was drawn.
#[derive(Debug, Default)]
pub struct Page {
    /// The texts, in the order of drawing.
    pub texts: Vec<Text>,
    /// Black areas from the left: where they begin, and how wide and high they are, in points.
    pub bars: Vec<(f32, f32, f32)>,
}

/// A text on a page.
#[derive(Debug)]
pub struct Text {
    /// Where it begins, from the left and from below, in points.
    pub at: (f32, f32),
    /// The size of its letters.
    pub size: f32,
    /// What it says.
    pub text: String,
}

impl Page {
    /// All that it says, a text in each line.
    pub fn text(&self) -> String {
        self.texts.iter().map(|text| text.text.as_str()).collect::<Vec<_>>().join("\n")
    }
}

/// The pages of a file.
pub fn pages(file: &[u8]) -> Vec<Page> {
    let objects = objects(file);
    let fonts: Vec<BTreeMap<u16, char>> = objects
        .values()
        .filter(|object| object.head.contains("/Subtype /Type0"))
        .map(|font| characters(&objects[&reference(&font.head, "/ToUnicode ")].stream))
        .collect();
    let pages = objects.values().filter(|object| object.head.contains("/Type /Page\n"));
    pages.map(|page| draw(&objects[&reference(&page.head, "/Contents ")].stream, &fonts)).collect()
}

struct Object {
    head: String,
    stream: Vec<u8>,
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    bytes[from..].windows(what.len()).position(|window| window == what).map(|at| from + at)
}

/// By number.
fn objects(file: &[u8]) -> BTreeMap<u32, Object> {
    let mut objects = BTreeMap::new();
    let mut from = 0;
    while let Some(at) = find(file, b" 0 obj\n", from) {
        let line = file[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let number = std::str::from_utf8(&file[line..at]).expect("a number").parse().expect("a number");
        let begin = at + 7;
        let end = find(file, b"\nendobj", begin).expect("an end");
        let (head, stream) = match find(&file[..end], b"\nstream\n", begin) {
            Some(data) => {
                let head = String::from_utf8_lossy(&file[begin..data]).into_owned();
                let length = usize::try_from(reference(&head, "/Length ")).expect("fits");
                let packed = &file[data + 8..data + 8 + length];
                (head, miniz_oxide::inflate::decompress_to_vec_zlib(packed).expect("is packed"))
            }
            None => (String::from_utf8_lossy(&file[begin..end]).into_owned(), Vec::new()),
        };
        objects.insert(number, Object { head, stream });
        from = end;
    }
    objects
}

fn reference(head: &str, key: &str) -> u32 {
    let rest = &head[head.find(key).expect("the key") + key.len()..];
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

/// By the number of a glyph, what it shows.
fn characters(map: &[u8]) -> BTreeMap<u16, char> {
    let map = std::str::from_utf8(map).expect("is text");
    let pair = |line: &str| {
        let (glyph, unicode) = line.strip_prefix('<')?.strip_suffix('>')?.split_once("> <")?;
        let unicode = char::from_u32(u32::from_str_radix(unicode, 16).ok()?)?;
        Some((u16::from_str_radix(glyph, 16).ok()?, unicode))
    };
    // The range of all glyphs is no pair.
    map.lines().filter(|line| *line != "<0000> <FFFF>").filter_map(pair).collect()
}

/// Follows the operators that papers use.
fn draw(content: &[u8], fonts: &[BTreeMap<u16, char>]) -> Page {
    let mut page = Page::default();
    let (mut operands, mut font, mut size, mut grey, mut area) = (Vec::new(), 0, 0.0, 0.0, None);
    let mut at = (0.0, 0.0);
    for token in Tokens(content) {
        let number = |back: usize| match operands.iter().rev().nth(back) {
            Some(Token::Word(word)) => word.parse::<f32>().expect("a number"),
            Some(Token::Bytes(_)) | None => panic!("an operand is missing"),
        };
        match &token {
            Token::Word(word) if word == "Tf" => {
                size = number(0);
                font = usize::from(matches!(&operands[0], Token::Word(name) if name == "/B"));
            }
            Token::Word(word) if word == "Td" => at = (number(1), number(0)),
            Token::Word(word) if word == "g" => grey = number(0),
            Token::Word(word) if word == "re" => area = Some((number(3), number(1), number(0))),
            Token::Word(word) if word == "f" => page.bars.extend(area.take().filter(|_| grey == 0.0)),
            Token::Word(word) if word == "Tj" => {
                let Some(Token::Bytes(glyphs)) = operands.last() else { panic!("a text is missing") };
                let text = glyphs.chunks(2).map(|glyph| fonts[font][&u16::from_be_bytes([glyph[0], glyph[1]])]);
                page.texts.push(Text { at, size, text: text.collect() });
            }
            Token::Word(word) if matches!(word.as_str(), "BT" | "ET" | "S" | "G" | "w") => {}
            Token::Word(_) | Token::Bytes(_) => {
                operands.push(token);
                continue;
            }
        }
        operands.clear();
    }
    page
}

#[derive(Debug)]
enum Token {
    Word(String),
    Bytes(Vec<u8>),
}

struct Tokens<'a>(&'a [u8]);

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let begin = self.0.iter().position(|byte| !byte.is_ascii_whitespace())?;
        self.0 = &self.0[begin..];
        match self.0[0] {
            b'(' => Some(Token::Bytes(self.literal())),
            b'<' => {
                let end = find(self.0, b">", 0).expect("an end");
                let bytes = hex::decode(&self.0[1..end]).expect("is hexadecimal");
                self.0 = &self.0[end + 1..];
                Some(Token::Bytes(bytes))
            }
            _ => {
                let end = self.0.iter().position(u8::is_ascii_whitespace).unwrap_or(self.0.len());
                let word = String::from_utf8_lossy(&self.0[..end]).into_owned();
                self.0 = &self.0[end..];
                Some(Token::Word(word))
            }
        }
    }
}

impl Tokens<'_> {
    /// A string in brackets; brackets in it stand behind a backslash, or are balanced.
    fn literal(&mut self) -> Vec<u8> {
        let (mut bytes, mut depth, mut at) = (Vec::new(), 0, 0);
        loop {
            let byte = self.0[at];
            at += 1;
            match byte {
                b'(' if at == 1 => depth = 1,
                b')' if depth == 1 => break,
                b'\\' => {
                    let escaped = self.0[at];
                    let octal = if escaped.is_ascii_digit() { 3 } else { 1 };
                    let digits = std::str::from_utf8(&self.0[at..at + octal]).expect("is text");
                    bytes.push(match escaped {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 8,
                        b'f' => 12,
                        b'0'..=b'7' => u8::from_str_radix(digits, 8).expect("is octal"),
                        other => other,
                    });
                    at += octal;
                }
                other => {
                    depth += match other {
                        b'(' => 1,
                        b')' => -1,
                        _ => 0,
                    };
                    bytes.push(other);
                }
            }
        }
        self.0 = &self.0[at..];
        bytes
    }
}
