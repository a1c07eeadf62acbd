//! Noto Sans, and what of it a paper has used: only that is put into the file.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Filter, Finish as _, Name, Pdf, Rect, Ref, Str};
use subsetter::GlyphRemapper;
use xxhash_rust::xxh3::xxh3_64;

use super::deflate;

/// Stands for every character that the font lacks.
const REPLACEMENT: char = '\u{FFFD}';
/// Glyphs have two bytes in a text, which are the glyph's number.
const SYSTEM: SystemInfo<'_> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
/// Objects of a file that a face takes.
pub(super) const REFS: i32 = 5;

/// How thick letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    /// As text is.
    Regular,
    /// As headings and totals are.
    Bold,
}

impl Face {
    /// Both, in the order of their numbers.
    pub(super) const ALL: [Self; 2] = [Self::Regular, Self::Bold];

    /// The name under which pages use it.
    pub(super) fn name(self) -> Name<'static> {
        match self {
            Self::Regular => Name(b"R"),
            Self::Bold => Name(b"B"),
        }
    }

    fn font(self) -> &'static Font {
        static FONTS: LazyLock<[Font; 2]> = LazyLock::new(|| {
            [Font::new("NotoSans", ttf_noto_sans::REGULAR), Font::new("NotoSans-Bold", ttf_noto_sans::BOLD)]
        });
        &FONTS[self as usize]
    }

    /// How wide a text is in this size, in points.
    pub(super) fn width(self, text: &str, size: f32) -> f32 {
        let font = self.font();
        let units: u32 = text.chars().map(|character| u32::from(font.glyph(character).advance)).sum();
        // Texts are far shorter than the sixteen million units that are exact.
        units as f32 * size / font.units_per_em
    }
}

/// A character of a font.
#[derive(Clone, Copy)]
struct Glyph {
    id: u16,
    /// In the units of the font.
    advance: u16,
    /// What it shows: the character, or the replacement.
    character: char,
}

/// A face, read once.
struct Font {
    name: &'static str,
    file: &'static [u8],
    face: ttf_parser::Face<'static>,
    units_per_em: f32,
    replacement: Glyph,
    /// Of characters up to the end of Cyrillic, which are nearly all.
    frequent: Vec<Glyph>,
}

impl Font {
    fn new(name: &'static str, file: &'static [u8]) -> Self {
        let face = ttf_parser::Face::parse(file, 0).expect("the font of the crate is a font");
        let units_per_em = f32::from(face.units_per_em());
        let replacement = find(&face, REPLACEMENT).expect("the font of the crate has a sign for what it lacks");
        let frequent = ('\0'..'\u{530}').map(|character| find(&face, character).unwrap_or(replacement)).collect();
        Self { name, file, face, units_per_em, replacement, frequent }
    }

    fn glyph(&self, character: char) -> Glyph {
        let frequent = self.frequent.get(character as usize).copied();
        frequent.unwrap_or_else(|| find(&self.face, character).unwrap_or(self.replacement))
    }

    /// Units of the font in thousandths of the size, in which PDF counts.
    fn thousandths(&self, units: impl Into<f32>) -> f32 {
        units.into() * 1000.0 / self.units_per_em
    }
}

fn find(face: &ttf_parser::Face<'_>, character: char) -> Option<Glyph> {
    let id = face.glyph_index(character)?;
    Some(Glyph { id: id.0, advance: face.glyph_hor_advance(id)?, character })
}

/// What a paper has used of a face.
#[derive(Debug)]
pub(super) struct Used {
    face: Face,
    glyphs: GlyphRemapper,
    /// By the glyph's number in this paper, its character and how wide it is in units of the font.
    shown: BTreeMap<u16, (char, u16)>,
}

impl Used {
    /// Nothing yet.
    pub(super) fn new(face: Face) -> Self {
        Self { face, glyphs: GlyphRemapper::new(), shown: BTreeMap::new() }
    }

    /// A text as the numbers of its glyphs, which are used from now on.
    pub(super) fn encode(&mut self, text: &str) -> Vec<u8> {
        let font = self.face.font();
        let mut encoded = Vec::with_capacity(2 * text.len());
        for character in text.chars() {
            let glyph = font.glyph(character);
            let number = self.glyphs.remap(glyph.id);
            self.shown.insert(number, (glyph.character, glyph.advance));
            encoded.extend(number.to_be_bytes());
        }
        encoded
    }

    /// Puts the used part of the font into a file, as [`REFS`] objects from `first` on; the first of them is the font.
    pub(super) fn write(&self, pdf: &mut Pdf, first: Ref) {
        let font = self.face.font();
        let [cid, descriptor, file, unicode] = [1, 2, 3, 4].map(|offset| Ref::new(first.get() + offset));
        let name = self.name();
        let name = Name(name.as_bytes());

        let mut composite = pdf.type0_font(first);
        composite.base_font(name).encoding_predefined(Name(b"Identity-H"));
        composite.descendant_font(cid).to_unicode(unicode);
        composite.finish();

        let mut glyphs = pdf.cid_font(cid);
        glyphs.subtype(CidFontType::Type2).base_font(name).system_info(SYSTEM).font_descriptor(descriptor);
        glyphs.default_width(0.0).cid_to_gid_map_predefined(Name(b"Identity"));
        let mut widths = glyphs.widths();
        for (number, (_, advance)) in &self.shown {
            widths.consecutive(*number, [font.thousandths(*advance)]);
        }
        widths.finish();
        glyphs.finish();

        self.write_descriptor(pdf, name, descriptor, file);
        let subset = subsetter::subset(font.file, 0, &self.glyphs).expect("the font of the crate can be cut");
        let packed = deflate(&subset);
        let mut stream = pdf.stream(file, &packed);
        stream.filter(Filter::FlateDecode);
        stream.pair(Name(b"Length1"), i32::try_from(subset.len()).unwrap_or(i32::MAX));
        stream.finish();

        let mut map = UnicodeCmap::<u16>::new(Name(b"Unicode"), SYSTEM);
        for (number, (character, _)) in &self.shown {
            map.pair(*number, *character);
        }
        let packed = deflate(map.finish().as_slice());
        pdf.cmap(unicode, &packed).filter(Filter::FlateDecode);
    }

    fn write_descriptor(&self, pdf: &mut Pdf, name: Name<'_>, descriptor: Ref, file: Ref) {
        let font = self.face.font();
        let face = &font.face;
        let bounds = face.global_bounding_box();
        let [left, bottom, right, top] =
            [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max].map(|edge| font.thousandths(edge));
        let cap_height = face.capital_height().unwrap_or_else(|| face.ascender());
        let stem = match self.face {
            Face::Regular => 80.0,
            Face::Bold => 140.0,
        };
        let mut about = pdf.font_descriptor(descriptor);
        about.name(name).flags(FontFlags::NON_SYMBOLIC).bbox(Rect::new(left, bottom, right, top)).italic_angle(0.0);
        about.ascent(font.thousandths(face.ascender())).descent(font.thousandths(face.descender()));
        about.cap_height(font.thousandths(cap_height)).stem_v(stem).font_file2(file);
    }

    /// The font's name behind six letters that tell its parts apart, as PDF wants it: whoever joins papers must not take one part
    /// for another.
    fn name(&self) -> String {
        let characters: String = self.shown.values().map(|(character, _)| *character).collect();
        let hash = xxh3_64(characters.as_bytes());
        let letters = hash.to_be_bytes().into_iter().take(6).map(|byte| char::from(b'A' + byte % 26));
        format!("{}+{}", letters.collect::<String>(), self.face.font().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_font_lacks_is_shown_by_a_sign() {
        let mut used = Used::new(Face::Regular);
        let encoded = used.encode("Ж漢🦀");
        assert_eq!((encoded.len(), &encoded[2..4]), (6, &encoded[4..6]));
        assert_eq!(used.shown.values().map(|(character, _)| *character).collect::<String>(), "Ж\u{FFFD}");
        assert!(Face::Regular.width("漢", 10.0) > 0.0);
    }

    #[test]
    fn digits_are_of_one_width_and_bold_letters_are_wider() {
        let widths = ('0'..='9').map(|digit| Face::Regular.width(&digit.to_string(), 1000.0).to_bits());
        assert_eq!(widths.collect::<std::collections::BTreeSet<_>>().len(), 1);
        assert!(Face::Bold.width("Молоко", 9.0) > Face::Regular.width("Молоко", 9.0));
        assert!((Face::Regular.width("00", 2048.0) - 2342.0).abs() < 0.01);
    }
}
