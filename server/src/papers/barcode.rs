//! Code 128, set B: the characters from space to `~`, which scanners read anywhere.

/// The value of the symbol that begins set B.
const START_B: usize = 104;
/// The checksum is a remainder of this.
const CHECK: usize = 103;
/// The value of the symbol that ends a code.
const STOP: usize = 106;
/// On both sides so many modules stay white.
const QUIET: u32 = 10;
/// By value, how wide the bars and spaces of a symbol are, a digit for each, in modules; a bar comes first.
const SYMBOLS: [u32; 107] = [
    212_222, 222_122, 222_221, 121_223, 121_322, 131_222, 122_213, 122_312, 132_212, 221_213, 221_312, 231_212,
    112_232, 122_132, 122_231, 113_222, 123_122, 123_221, 223_211, 221_132, 221_231, 213_212, 223_112, 312_131,
    311_222, 321_122, 321_221, 312_212, 322_112, 322_211, 212_123, 212_321, 232_121, 111_323, 131_123, 131_321,
    112_313, 132_113, 132_311, 211_313, 231_113, 231_311, 112_133, 112_331, 132_131, 113_123, 113_321, 133_121,
    313_121, 211_331, 231_131, 213_113, 213_311, 213_131, 311_123, 311_321, 331_121, 312_113, 312_311, 332_111,
    314_111, 221_411, 431_111, 111_224, 111_422, 121_124, 121_421, 141_122, 141_221, 112_214, 112_412, 122_114,
    122_411, 142_112, 142_211, 241_211, 221_114, 413_111, 241_112, 134_111, 111_242, 121_142, 121_241, 114_212,
    124_112, 124_211, 411_212, 421_112, 421_211, 212_141, 214_121, 412_121, 111_143, 111_341, 131_141, 114_113,
    114_311, 411_113, 411_311, 113_141, 114_131, 311_141, 411_131, 211_412, 211_214, 211_232, 2_331_112,
];

/// A bar, in modules from the left edge of the code with its quiet zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    /// Where it begins.
    pub at: u32,
    /// How wide it is.
    pub width: u32,
}

/// The bars of a text, and how wide the whole is with its quiet zones. What set B has no symbol for is written as `?`.
pub(super) fn code_128(text: &str) -> (Vec<Bar>, u32) {
    let mut bars = Vec::new();
    let mut at = QUIET;
    for value in values(text) {
        for (index, width) in widths(SYMBOLS[value]).into_iter().enumerate() {
            if index % 2 == 0 {
                bars.push(Bar { at, width });
            }
            at += width;
        }
    }
    (bars, at + QUIET)
}

/// The symbols: start, text, checksum, stop.
fn values(text: &str) -> Vec<usize> {
    let value = |character: char| if matches!(character, ' '..='~') { character as usize } else { '?' as usize } - 32;
    let mut values: Vec<usize> = std::iter::once(START_B).chain(text.chars().map(value)).collect();
    // The first character counts once, as the start does.
    let sum: usize = values.iter().enumerate().map(|(place, value)| value * place.max(1)).sum();
    values.extend([sum % CHECK, STOP]);
    values
}

fn widths(symbol: u32) -> Vec<u32> {
    let digits = symbol.to_string();
    digits.chars().filter_map(|digit| digit.to_digit(10)).collect()
}

/// As a scanner does it: from bars to symbols, and from these to the text. `None`: not readable.
#[cfg(test)]
pub(super) fn scan(bars: &[Bar]) -> Option<String> {
    let mut edges: Vec<u32> = bars.iter().flat_map(|bar| [bar.at, bar.at + bar.width]).collect();
    edges.dedup();
    let widths: Vec<u32> = edges.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // The stop has a bar more than the others.
    let (symbols, stop) = widths.split_at(widths.len().checked_sub(7)?);
    let number = |widths: &[u32]| widths.iter().fold(0, |number, width| number * 10 + width);
    let value = |widths: &[u32]| SYMBOLS.iter().position(|symbol| *symbol == number(widths));
    let found: Vec<usize> = symbols.chunks(6).map(value).collect::<Option<_>>()?;
    let (check, text) = found.split_last()?;
    let weighed: usize = text.iter().enumerate().map(|(place, value)| value * place.max(1)).sum();
    let is_whole = value(stop) == Some(STOP) && text[0] == START_B && weighed % CHECK == *check;
    let character = |value: &usize| char::from_u32(u32::try_from(*value).ok()? + 32);
    text[1..].iter().map(character).collect::<Option<String>>().filter(|_| is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        for text in ["0190a1b2c3d47e8f9a0b1c2d3e4f5061", "Rs-1", " ~", ""] {
            let (bars, width) = code_128(text);
            assert_eq!(scan(&bars).as_deref(), Some(text));
            let last = bars.last().expect("a stop");
            assert_eq!((bars[0].at, last.at + last.width + QUIET), (QUIET, width));
        }
        let (mut bars, _) = code_128("Rs-1");
        bars.remove(3);
        assert_eq!(scan(&bars), None);
        assert_eq!(scan(&code_128("Жук").0).as_deref(), Some("???"));
    }

    #[test]
    fn no_two_symbols_are_alike_and_all_are_as_wide() {
        let mut found: Vec<u32> = SYMBOLS.to_vec();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), SYMBOLS.len());
        for symbol in &SYMBOLS[..STOP] {
            let widths = widths(*symbol);
            let bars: u32 = widths.iter().step_by(2).sum();
            assert_eq!((widths.len(), widths.iter().sum::<u32>(), bars % 2), (6, 11, 0), "{symbol}");
        }
        assert_eq!(widths(SYMBOLS[STOP]).iter().sum::<u32>(), 13);
    }
}
