//! The cells of one row, by name, with what is wrong about them.

use roundsman_sync::trade::check;
use uuid::Uuid;

use super::key;
use super::table::{Column, Errors, Row};
use super::value::{self, Wrong};

/// A row that is turned into a record. What is wrong is noted, and replaced by something harmless.
#[derive(Debug)]
pub struct Fields<'a> {
    row: &'a Row,
    columns: &'static [Column],
    errors: &'a mut Errors,
}

impl<'a> Fields<'a> {
    /// The cells of a row, which has them in the order of these columns.
    pub fn new(row: &'a Row, columns: &'static [Column], errors: &'a mut Errors) -> Self {
        Self { row, columns, errors }
    }

    /// The cell as it is.
    #[must_use]
    pub fn raw(&self, column: &str) -> &'a str {
        let place = self.columns.iter().position(|known| known.name == column).expect("a column of this kind of file");
        &self.row.cells[place]
    }

    /// A cell is wrong.
    pub fn wrong(&mut self, column: &str, text: impl Into<String>) {
        self.errors.add(self.row.line, Some(column), text);
    }

    /// The value of a cell is wrong.
    pub fn wrong_value(&mut self, column: &str, wrong: &str) {
        let value = self.raw(column);
        self.errors.value(self.row.line, column, value, wrong);
    }

    /// A text of at most so many characters, which may be empty.
    pub fn text(&mut self, column: &str, chars: usize) -> String {
        let text = self.raw(column);
        if text.contains('\0') {
            self.wrong(column, "contains the character U+0000");
        } else if check::text(text, chars, column).is_err() {
            self.wrong_value(column, &format!("has more than {chars} characters"));
        }
        text.to_owned()
    }

    /// A name or a code, which may be empty.
    pub fn name(&mut self, column: &str) -> String {
        self.text(column, check::NAME_CHARS)
    }

    /// A name or a code that must be there.
    pub fn required(&mut self, column: &str) -> String {
        self.needed(column);
        self.name(column)
    }

    fn needed(&mut self, column: &str) {
        if self.raw(column).is_empty() {
            self.wrong(column, "is empty");
        }
    }

    /// A value that may be missing.
    pub fn optional<T>(&mut self, column: &str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        let text = self.raw(column);
        if text.is_empty() {
            return None;
        }
        match parse(text) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.wrong_value(column, &wrong);
                None
            }
        }
    }

    /// A value that is as by default when it is missing.
    pub fn value<T: Default>(&mut self, column: &str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> T {
        self.optional(column, parse).unwrap_or_default()
    }

    /// A value that must be there.
    pub fn required_value<T: Default>(&mut self, column: &str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> T {
        self.needed(column);
        self.value(column, parse)
    }

    /// The first and the last day, of the columns `valid_from` and `valid_to`; 0: no beginning, or no end.
    pub fn days(&mut self) -> (i32, i32) {
        let valid_from_day = self.value("valid_from", value::day);
        let valid_to_day = self.value("valid_to", value::day);
        if valid_to_day != 0 && valid_to_day < valid_from_day {
            self.wrong_value("valid_to", "is before valid_from");
        }
        (valid_from_day, valid_to_day)
    }

    /// The record that a cell refers to, if it does.
    pub fn reference(&mut self, column: &str, kind: &str) -> Option<Uuid> {
        let code = self.name(column);
        (!code.is_empty()).then(|| key::reference(kind, &code))
    }

    /// The record that a cell must refer to.
    pub fn required_reference(&mut self, column: &str, kind: &str) -> Uuid {
        self.needed(column);
        self.reference(column, kind).unwrap_or_default()
    }

    /// The records that a cell refers to, each once.
    pub fn references(&mut self, column: &str, kind: &str) -> Vec<Uuid> {
        let mut found = Vec::new();
        for code in value::list(self.raw(column)) {
            let id = key::reference(kind, &code);
            if found.contains(&id) {
                self.wrong_value(column, &format!("names `{code}` twice"));
            }
            found.push(id);
        }
        if found.len() > check::ENTRIES {
            self.wrong(column, format!("has more than {} entries", check::ENTRIES));
        }
        found
    }
}
