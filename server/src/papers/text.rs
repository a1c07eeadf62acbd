//! Texts as they stand on paper: clean, and no wider than their place.

use super::font::Face;

/// Stands for what was cut off.
const ELLIPSIS: char = '…';

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// How thick its letters are.
    pub face: Face,
    /// The size of its letters, in points.
    pub size: f32,
    /// From 0, black, to 1, white.
    pub grey: f32,
}

impl Style {
    /// From the top of a line to that of the next, in points.
    pub(super) fn leading(self) -> f32 {
        self.size * 1.3
    }

    /// From the top of a line to the foot of its letters, in points.
    pub(super) fn baseline(self) -> f32 {
        self.size
    }

    /// How wide a text is, in points.
    pub(super) fn width(self, text: &str) -> f32 {
        self.face.width(text, self.size)
    }

    /// A text in at most so many lines of this width, broken at spaces and, where a word alone is too wide, inside of it. What finds
    /// no room is cut off, and an ellipsis says so.
    pub(super) fn wrap(self, text: &str, width: f32, most: usize) -> Vec<String> {
        let text = clean(text);
        let mut lines: Vec<String> = Vec::new();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            if let Some(line) = lines.last_mut() {
                let longer = format!("{line} {word}");
                if self.width(&longer) <= width {
                    *line = longer;
                    continue;
                }
            }
            if lines.len() == most {
                return self.cut(lines, width);
            }
            lines.push(String::new());
            for character in word.chars() {
                let Some(line) = lines.last_mut() else { break };
                line.push(character);
                if self.width(line) > width && line.chars().nth(1).is_some() {
                    line.pop();
                    if lines.len() == most {
                        return self.cut(lines, width);
                    }
                    lines.push(character.to_string());
                }
            }
        }
        lines
    }

    /// A text in one line of this width.
    pub(super) fn line(self, text: &str, width: f32) -> String {
        self.wrap(text, width, 1).pop().unwrap_or_default()
    }

    fn cut(self, mut lines: Vec<String>, width: f32) -> Vec<String> {
        if let Some(last) = lines.last_mut() {
            last.push(ELLIPSIS);
            while self.width(last) > width && last.chars().nth(1).is_some() {
                last.pop();
                last.pop();
                last.push(ELLIPSIS);
            }
        }
        lines
    }
}

/// Without what can't be shown: whatever is between words is a space, and marks that only direct other characters are left out.
fn clean(text: &str) -> String {
    let shown = |character: char| match character {
        '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' => None,
        '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' => None,
        '\u{A0}' | '\u{202F}' => Some('\u{A0}'),
        _ if character.is_whitespace() || character.is_control() => Some(' '),
        _ => Some(character),
    };
    text.chars().filter_map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { face: Face::Regular, size: 10.0, grey: 0.0 };

    #[test]
    fn long_texts_are_broken_at_spaces_and_cut_with_a_sign() {
        let text = "Молоко пастеризованное 3,2 % «Деревенское» 930 мл";
        let lines = PLAIN.wrap(text, 110.0, 9);
        assert!(lines.len() > 1 && lines.iter().all(|line| PLAIN.width(line) <= 110.0), "{lines:?}");
        assert_eq!(lines.join(" "), text);
        let cut = PLAIN.wrap(text, 110.0, 2);
        assert_eq!((cut.len(), &cut[0]), (2, &lines[0]));
        assert!(cut[1].ends_with('…') && PLAIN.width(&cut[1]) <= 110.0, "{cut:?}");
        assert_eq!(PLAIN.line("short", 110.0), "short");
    }

    #[test]
    fn a_word_that_is_too_wide_is_broken_inside() {
        let word = "W".repeat(40);
        let lines = PLAIN.wrap(&word, 60.0, 50);
        assert_eq!(lines.concat(), word);
        assert!(lines.len() > 1 && lines.iter().all(|line| PLAIN.width(line) <= 60.0), "{lines:?}");
        // Where not even one character has room, each has its line.
        assert_eq!(PLAIN.wrap("ab", 0.1, 9), ["a", "b"]);
        assert_eq!(PLAIN.wrap("abc", 0.1, 1), ["…"]);
    }

    #[test]
    fn control_characters_do_no_harm() {
        assert_eq!(PLAIN.wrap(" a\tb\r\nc\u{1b}[0m \u{202e}d\u{200b}e\0", 500.0, 1), ["a b c [0m de"]);
        assert_eq!(PLAIN.wrap("\n\u{feff}", 500.0, 3), Vec::<String>::new());
        assert_eq!(PLAIN.line("1\u{a0}000", 500.0), "1\u{a0}000");
    }
}
