//! A table in a file: RFC 4180, UTF-8 with or without a byte order mark, `,` or `;` between the cells. The first row names
//! the columns, in any order. All of them must be there: an import replaces whole records, and a column that is left out
//! would empty what it holds.

use std::fmt;

use csv::{ByteRecord, ReaderBuilder};

/// So many errors are shown; the others are counted.
pub const ERRORS_SHOWN: usize = 100;
/// Of a wrong value so many characters are shown.
const VALUE_CHARS: usize = 40;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A column of a file.
#[derive(Debug)]
pub struct Column {
    /// Its name in the first row.
    pub name: &'static str,
    /// What stands in it.
    pub help: &'static str,
}

/// A row that has all cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// In the order of the columns asked for, without space around them.
    pub cells: Vec<String>,
}

/// What is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvError {
    /// The line, from 1.
    pub line: u64,
    /// The column, if it is about one.
    pub column: Option<String>,
    /// In words.
    pub text: String,
}

impl fmt::Display for CsvError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(formatter, "line {}, column {column}: {}", self.line, self.text),
            None => write!(formatter, "line {}: {}", self.line, self.text),
        }
    }
}

/// Everything that is wrong in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors(Vec<CsvError>);

impl Errors {
    /// Something is wrong.
    pub fn add(&mut self, line: u64, column: Option<&str>, text: impl Into<String>) {
        self.0.push(CsvError { line, column: column.map(str::to_owned), text: text.into() });
    }

    /// A value is wrong: it is shown, cut if it is long.
    pub fn value(&mut self, line: u64, column: &str, value: &str, wrong: &str) {
        let mut shown: String = value.chars().take(VALUE_CHARS).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        self.add(line, Some(column), format!("\"{shown}\" {wrong}"));
    }

    /// How much is wrong.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// `Ok` if nothing is wrong.
    ///
    /// # Errors
    /// All of them, by line.
    pub fn check<T>(mut self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort_by_key(|error| error.line);
        Err(self)
    }
}

impl fmt::Display for Errors {
    /// One a line, the first hundred of them, and how many more there are.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().take(ERRORS_SHOWN).enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(formatter, "{end}{error}")?;
        }
        match self.0.len().checked_sub(ERRORS_SHOWN) {
            Some(more) if more > 0 => write!(formatter, "\nand {more} more"),
            Some(_) | None => Ok(()),
        }
    }
}

impl std::error::Error for Errors {}

/// Reads all rows; rows in which nothing stands are left out. What is wrong is added to `errors`, and the row that it is
/// in is left out.
pub fn read(bytes: &[u8], columns: &'static [Column], errors: &mut Errors) -> Vec<Row> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut records = Records::new(bytes);
    let Some((line, header)) = records.next(errors) else {
        errors.add(1, None, "the file is empty; its first row must name the columns");
        return Vec::new();
    };
    let Some(places) = places(line, &header, columns, errors) else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    while let Some((line, record)) = records.next(errors) {
        if record.iter().all(<[u8]>::is_empty) {
            continue;
        }
        if record.len() != header.len() {
            errors.add(line, None, format!("has {} cells, but there are {} columns", record.len(), header.len()));
            continue;
        }
        if let Some(cells) = cells(line, &record, (&places, columns), errors) {
            rows.push(Row { line, cells });
        }
    }
    rows
}

/// Where in a row each of the columns stands.
fn places(line: u64, header: &ByteRecord, columns: &'static [Column], errors: &mut Errors) -> Option<Vec<usize>> {
    let before = errors.count();
    let names: Vec<String> = header.iter().map(|name| String::from_utf8_lossy(name).to_lowercase()).collect();
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            errors.add(line, Some(name), "stands twice in the first row");
        } else if !columns.iter().any(|column| column.name == name) {
            let known: Vec<&str> = columns.iter().map(|column| column.name).collect();
            errors.add(line, Some(name), format!("is not known; the columns are {}", known.join(", ")));
        }
    }
    let mut places = Vec::with_capacity(columns.len());
    for column in columns {
        match names.iter().position(|name| name == column.name) {
            Some(place) => places.push(place),
            None => errors.add(line, Some(column.name), "is missing; it may be empty, but must be there"),
        }
    }
    (errors.count() == before).then_some(places)
}

fn cells(
    line: u64,
    record: &ByteRecord,
    (places, columns): (&[usize], &'static [Column]),
    errors: &mut Errors,
) -> Option<Vec<String>> {
    let mut cells = Vec::with_capacity(places.len());
    for (place, column) in places.iter().zip(columns) {
        match std::str::from_utf8(record.get(*place).unwrap_or_default()) {
            Ok(cell) => cells.push(cell.to_owned()),
            Err(_) => errors.add(line, Some(column.name), "is not text in UTF-8"),
        }
    }
    (cells.len() == places.len()).then_some(cells)
}

/// The records of a file with the lines on which they begin.
struct Records<'b> {
    bytes: &'b [u8],
    reader: csv::Reader<&'b [u8]>,
    /// Up to where lines are counted, and how many ended there.
    counted: (usize, u64),
}

impl<'b> Records<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        // No column has either of them in its name.
        let first = bytes.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
        let delimiter = if first.contains(&b';') { b';' } else { b',' };
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .trim(csv::Trim::All)
            .from_reader(bytes);
        Self { bytes, reader, counted: (0, 1) }
    }

    fn next(&mut self, errors: &mut Errors) -> Option<(u64, ByteRecord)> {
        loop {
            let mut record = ByteRecord::new();
            let start = self.at();
            match self.reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    let line = self.line(start);
                    errors.add(line, None, format!("can't be read: {error}"));
                    return None;
                }
            }
            let line = self.line(start);
            // In a record as RFC 4180 has it quotes come in pairs. The reader takes one that does not as part of the
            // text, or swallows what follows: both would go unnoticed.
            let raw = self.bytes.get(start..self.at()).unwrap_or_default();
            if raw.iter().filter(|byte| **byte == b'"').count() % 2 == 0 {
                return Some((line, record));
            }
            errors.add(line, None, "has a quotation mark that is not closed; inside of a quoted cell it is doubled");
        }
    }

    fn at(&self) -> usize {
        usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX).min(self.bytes.len())
    }

    /// The line on which the record after `start` begins; empty lines before it don't belong to it.
    fn line(&mut self, start: usize) -> u64 {
        let empty = self.bytes.iter().skip(start).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let (from, lines) = self.counted;
        let passed = self.bytes.get(from..start + empty).unwrap_or_default();
        let ended = passed.iter().filter(|byte| **byte == b'\n').count();
        self.counted = (start + empty, lines + u64::try_from(ended).unwrap_or(0));
        self.counted.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[Column { name: "code", help: "" }, Column { name: "name", help: "" }];

    fn parsed(bytes: &[u8]) -> (Vec<(u64, Vec<String>)>, Vec<String>) {
        let mut errors = Errors::default();
        let rows = read(bytes, COLUMNS, &mut errors);
        let shown = errors.check(()).err().map(|errors| errors.to_string()).unwrap_or_default();
        let rows = rows.into_iter().map(|row| (row.line, row.cells)).collect();
        (rows, shown.lines().map(str::to_owned).collect())
    }

    fn rows(bytes: &[u8]) -> Vec<(u64, Vec<String>)> {
        let (rows, errors) = parsed(bytes);
        assert_eq!(errors, Vec::<String>::new());
        rows
    }

    fn row(line: u64, code: &str, name: &str) -> (u64, Vec<String>) {
        (line, vec![code.to_owned(), name.to_owned()])
    }

    #[test]
    fn separator_order_and_mark_of_a_file_are_its_own() {
        let expected = [row(2, "1", "Küche")];
        assert_eq!(rows("code,name\n1,Küche\n".as_bytes()), expected);
        assert_eq!(rows("\u{feff}Name;code\r\nKüche; 1 \r\n".as_bytes()), expected);
        assert_eq!(rows("\"name\";\"code\"\n\"Küche\";\"1\"".as_bytes()), expected);
        assert_eq!(rows(b"code,name\n"), []);
    }

    #[test]
    fn lines_are_counted_past_empty_ones_and_line_breaks_in_cells() {
        let text = "\r\ncode,name\r\n\r\n1,\"a\r\nb \"\"c\"\"\"\r\n,\r\n\r\n2,b\r\n";
        assert_eq!(rows(text.as_bytes()), [row(4, "1", "a\r\nb \"c\""), row(8, "2", "b")]);
    }

    #[test]
    fn columns_are_all_there_and_known() {
        let (_, errors) = parsed(b"code,code,price\n1,2,3\n");
        let expected = [
            "line 1, column code: stands twice in the first row",
            "line 1, column price: is not known; the columns are code, name",
            "line 1, column name: is missing; it may be empty, but must be there",
        ];
        assert_eq!(errors, expected);
        assert_eq!(parsed(b"\n").1, ["line 1: the file is empty; its first row must name the columns"]);
    }

    #[test]
    fn wrong_rows_are_told_with_their_lines() {
        let (rows, errors) = parsed(b"code,name\n1\n2,\xff\n3,c\n4,a,b\n5,5\" nail\n6,f\n7,\"g\n8,h\n");
        assert_eq!(rows, [row(4, "3", "c"), row(7, "6", "f")]);
        let expected = [
            "line 2: has 1 cells, but there are 2 columns",
            "line 3, column name: is not text in UTF-8",
            "line 5: has 3 cells, but there are 2 columns",
            "line 6: has a quotation mark that is not closed; inside of a quoted cell it is doubled",
            "line 8: has a quotation mark that is not closed; inside of a quoted cell it is doubled",
        ];
        assert_eq!(errors, expected);
    }

    #[test]
    fn a_hundred_errors_are_shown_and_the_others_counted() {
        let mut errors = Errors::default();
        for line in 1..=103 {
            errors.value(line, "name", &"x".repeat(50), "is wrong");
        }
        let shown = errors.check(()).expect_err("is wrong").to_string();
        let shown: Vec<&str> = shown.lines().collect();
        assert_eq!(shown.len(), 101);
        assert_eq!(shown[99], format!("line 100, column name: \"{}…\" is wrong", "x".repeat(40)));
        assert_eq!(shown[100], "and 3 more");
    }
}
