//! Pages of A4 that are drawn from the top downwards, and the file of them.

use pdf_writer::{Content, Filter, Finish as _, Pdf, Rect, Ref, Str, TextStr};

use super::barcode::code_128;
use super::deflate;
use super::font::{Face, REFS, Used};
use super::text::Style;
use super::words::Words;

/// A millimetre, in points.
pub(super) const MM: f32 = 72.0 / 25.4;
const PAGE: (f32, f32) = (210.0 * MM, 297.0 * MM);
const MARGIN: f32 = 15.0 * MM;
/// Where what is drawn ends: below stands the foot.
const BOTTOM: f32 = PAGE.1 - MARGIN - FOOT.size * 2.0;
/// How wide what is drawn is.
pub(super) const WIDTH: f32 = PAGE.0 - 2.0 * MARGIN;
/// The narrowest bar: what scanners in a hand read from any printer.
const MODULE: f32 = 0.25 * MM;
const FOOT: Style = Style { face: Face::Regular, size: 7.5, grey: 0.4 };

/// Where the objects of the file are; those of the pages follow.
const CATALOG: Ref = Ref::new(1);
const TREE: Ref = Ref::new(2);
const INFO: Ref = Ref::new(3);
const FONTS: i32 = 4;

/// A paper that is being drawn. Places are points from the left margin and from the upper one.
pub(super) struct Sheet {
    /// The texts of its language.
    pub words: &'static Words,
    /// How far down the page it has come.
    pub y: f32,
    used: [Used; 2],
    pages: Vec<Content>,
}

impl Sheet {
    /// An empty page.
    pub(super) fn new(words: &'static Words) -> Self {
        Self { words, y: 0.0, used: Face::ALL.map(Used::new), pages: vec![Content::new()] }
    }

    /// What is left of the page.
    pub(super) fn room(&self) -> f32 {
        BOTTOM - MARGIN - self.y
    }

    /// Goes on to the next page unless there is room for so much; returns whether it did. What finds no room on a whole page begins
    /// one.
    pub(super) fn need(&mut self, height: f32) -> bool {
        let is_full = height > self.room() && self.y > 0.0;
        if is_full {
            self.pages.push(Content::new());
            self.y = 0.0;
        }
        is_full
    }

    /// Draws a text whose line begins here.
    pub(super) fn text(&mut self, (x, y): (f32, f32), style: Style, text: &str) {
        let Self { used, pages, .. } = self;
        let Some(content) = pages.last_mut() else { return };
        draw_text(content, used, (x, y), style, text);
    }

    /// Draws a text that ends at `right`.
    pub(super) fn text_to(&mut self, (right, y): (f32, f32), style: Style, text: &str) {
        self.text((right - style.width(text), y), style, text);
    }

    /// Draws a line from left to right.
    pub(super) fn rule(&mut self, (x, y): (f32, f32), width: f32, thickness: f32, grey: f32) {
        self.fill((x, y), (width, thickness), grey);
    }

    /// Fills an area.
    pub(super) fn fill(&mut self, (x, y): (f32, f32), (width, height): (f32, f32), grey: f32) {
        let Some(content) = self.pages.last_mut() else { return };
        content.set_fill_gray(grey);
        content.rect(MARGIN + x, PAGE.1 - MARGIN - y - height, width, height).fill_nonzero();
    }

    /// Draws an empty box.
    pub(super) fn frame(&mut self, (x, y): (f32, f32), (width, height): (f32, f32), grey: f32) {
        let Some(content) = self.pages.last_mut() else { return };
        content.set_stroke_gray(grey).set_line_width(0.6);
        content.rect(MARGIN + x, PAGE.1 - MARGIN - y - height, width, height).stroke();
    }

    /// Draws a text as a barcode, its last bar at the right margin, and returns where its first one is.
    pub(super) fn barcode(&mut self, y: f32, height: f32, text: &str) -> f32 {
        let (bars, _) = code_128(text);
        let end = bars.last().map_or(0, |bar| bar.at + bar.width);
        let place = |module: u32| WIDTH - (end - module) as f32 * MODULE;
        for bar in &bars {
            self.fill((place(bar.at), y), (bar.width as f32 * MODULE, height), 0.0);
        }
        bars.first().map_or(WIDTH, |bar| place(bar.at))
    }

    /// The file. Each page tells the paper's title and its own number.
    pub(super) fn finish(mut self, title: &str) -> Vec<u8> {
        let count = self.pages.len();
        for (index, content) in self.pages.iter_mut().enumerate() {
            let Words { page, of_pages, .. } = self.words;
            let number = format!("{page} {} {of_pages} {count}", index + 1);
            let y = BOTTOM - MARGIN + FOOT.size;
            draw_text(content, &mut self.used, (0.0, y), FOOT, title);
            draw_text(content, &mut self.used, (WIDTH - FOOT.width(&number), y), FOOT, &number);
        }
        self.file(title)
    }

    fn file(self, title: &str) -> Vec<u8> {
        let faces = self.used.iter().zip([0, 1].map(|face| Ref::new(FONTS + face * REFS)));
        let first_page = FONTS + 2 * REFS;
        let pages = self.pages.len().try_into().unwrap_or(i32::MAX / 4);
        let page = |index: i32| [Ref::new(first_page + 2 * index), Ref::new(first_page + 2 * index + 1)];

        let mut pdf = Pdf::new();
        let mut catalog = pdf.catalog(CATALOG);
        catalog.pages(TREE).lang(TextStr(self.words.code));
        catalog.viewer_preferences().display_doc_title(true);
        catalog.finish();
        pdf.document_info(INFO).title(TextStr(title)).producer(TextStr("Roundsman"));

        let mut tree = pdf.pages(TREE);
        tree.kids((0..pages).map(|index| page(index)[0])).count(pages);
        tree.media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1));
        let mut resources = tree.resources();
        let mut fonts = resources.fonts();
        for (face, (_, font)) in Face::ALL.into_iter().zip(faces.clone()) {
            fonts.pair(face.name(), font);
        }
        fonts.finish();
        resources.finish();
        tree.finish();

        for (index, content) in (0..pages).zip(self.pages) {
            let [id, contents] = page(index);
            pdf.page(id).parent(TREE).contents(contents);
            pdf.stream(contents, &deflate(content.finish().as_slice())).filter(Filter::FlateDecode);
        }
        for (used, font) in faces {
            used.write(&mut pdf, font);
        }
        pdf.finish()
    }
}

fn draw_text(content: &mut Content, used: &mut [Used; 2], (x, y): (f32, f32), style: Style, text: &str) {
    if text.is_empty() {
        return;
    }
    let glyphs = used[style.face as usize].encode(text);
    content.set_fill_gray(style.grey).begin_text().set_font(style.face.name(), style.size);
    content.next_line(MARGIN + x, PAGE.1 - MARGIN - y - style.baseline()).show(Str(&glyphs)).end_text();
}
