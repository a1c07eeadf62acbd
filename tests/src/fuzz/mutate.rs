//! Bytes that are almost right: a valid message with something changed, field by field as protobuf writes them, or byte by
//! byte.

use crate::simulation::Dice;

/// Nothing is made longer than this.
const BYTES: usize = 64 * 1024;
/// Messages within messages, as deep as they are looked into.
const DEPTH: u32 = 8;
/// Numbers at the edge of something.
const EDGES: [u64; 9] = [0, 1, 127, 128, 1 << 31, (1 << 32) - 1, 1 << 62, u64::MAX >> 1, u64::MAX];

/// Some of these, changed; now and then as it is, or random.
#[must_use]
pub fn mutated(dice: &Dice, of: &[Vec<u8>]) -> Vec<u8> {
    if dice.chance(5) {
        return random(dice, 300);
    }
    let mut bytes = dice.pick(of).cloned().unwrap_or_default();
    for _ in 0..dice.size(0, 3) {
        bytes = if dice.chance(60) { by_field(dice, &bytes, of, DEPTH) } else { by_byte(dice, bytes, of) };
    }
    bytes.truncate(BYTES);
    bytes
}

/// Up to so many bytes without any sense.
#[must_use]
pub fn random(dice: &Dice, most: usize) -> Vec<u8> {
    (0..dice.size(0, most)).map(|_| dice.below(256).to_le_bytes()[0]).collect()
}

/// A part, a cut, a copy or an edge, anywhere.
#[must_use]
pub fn by_byte(dice: &Dice, mut bytes: Vec<u8>, of: &[Vec<u8>]) -> Vec<u8> {
    let (from, to) = {
        let (one, other) = (dice.size(0, bytes.len()), dice.size(0, bytes.len()));
        (one.min(other), one.max(other))
    };
    match dice.below(7) {
        0 => bytes.truncate(from),
        1 => drop(bytes.drain(from..to)),
        2 => {
            let copy = bytes[from..to].to_vec();
            bytes.splice(to..to, copy);
        }
        3 => {
            let other = dice.pick(of).map_or(&[][..], Vec::as_slice);
            let tail = dice.size(0, other.len());
            bytes.splice(from.., other[tail..].iter().copied());
        }
        4 => {
            let mut edge = Vec::new();
            put_number(&mut edge, dice.pick(&EDGES).copied().unwrap_or(0));
            bytes.splice(from..to.min(from + edge.len()), edge);
        }
        _ => {
            if let Some(place) = dice.index(bytes.len()) {
                bytes[place] ^= 1 << dice.below(8);
            }
        }
    }
    bytes
}

/// One field is changed, and all lengths around it are right.
fn by_field(dice: &Dice, bytes: &[u8], of: &[Vec<u8>], depth: u32) -> Vec<u8> {
    let Some(mut fields) = fields(bytes).filter(|fields| !fields.is_empty() && depth > 0) else {
        return by_byte(dice, bytes.to_vec(), of);
    };
    let place = dice.index(fields.len()).unwrap_or(0);
    match dice.below(10) {
        0 => drop(fields.remove(place)),
        1 => fields.insert(place, fields[place].clone()),
        2 => {
            let other = dice.index(fields.len()).unwrap_or(0);
            fields.swap(place, other);
        }
        3 => fields[place].key = (fields[place].key & 7) | (1 + dice.below(40)) << 3,
        _ => {
            let field = &mut fields[place];
            match &mut field.value {
                Value::Number(number) => *number = dice.pick(&EDGES).copied().unwrap_or(0),
                Value::Fixed(fixed) => fixed.fill(dice.below(256).to_le_bytes()[0]),
                Value::Bytes(inner) => *inner = by_field(dice, inner, of, depth - 1),
            }
        }
    }
    let mut out = Vec::with_capacity(bytes.len() + 16);
    for field in &fields {
        put_number(&mut out, field.key);
        match &field.value {
            Value::Number(number) => put_number(&mut out, *number),
            Value::Fixed(fixed) => out.extend(fixed),
            Value::Bytes(inner) => {
                put_number(&mut out, inner.len() as u64);
                out.extend(inner);
            }
        }
    }
    out
}

#[derive(Clone)]
struct Field {
    key: u64,
    value: Value,
}

#[derive(Clone)]
enum Value {
    Number(u64),
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
}

/// The fields of a message; `None`: it can't be one.
fn fields(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = take_number(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Number(take_number(&mut bytes)?),
            1 => Value::Fixed(take(&mut bytes, 8)?),
            5 => Value::Fixed(take(&mut bytes, 4)?),
            2 => {
                let length = usize::try_from(take_number(&mut bytes)?).ok()?;
                Value::Bytes(take(&mut bytes, length)?)
            }
            _ => return None,
        };
        found.push(Field { key, value });
    }
    Some(found)
}

fn take(bytes: &mut &[u8], length: usize) -> Option<Vec<u8>> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken.to_vec())
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}
