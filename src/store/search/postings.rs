//! The tickets of a term as bytes: the last one first, then the steps from each to the next.
//!
//! Architecture invariant: what is read is what was pushed, in its order.

use crate::store::fault::Fault;

/// A row of this many bytes takes no more tickets. Half a page of the engine.
const ROW_BYTES_MAX: usize = 1_800;
/// Bytes of the last ticket, from which the next step is counted.
const LAST_BYTES: usize = 8;
/// Bits of a step in one byte.
const STEP_BITS: u32 = 7;

/// Whether another ticket may be pushed.
pub(super) fn has_room(row: &[u8]) -> bool {
    row.len() < ROW_BYTES_MAX
}

/// Adds a ticket, unless it is the last.
pub(super) fn push(row: &mut Vec<u8>, ticket: u64) {
    let last = match row.first_chunk::<LAST_BYTES>() {
        Some(last) => u64::from_le_bytes(*last),
        None => {
            row.resize(LAST_BYTES, 0);
            0
        }
    };
    if last == ticket {
        return;
    }
    let step = ticket.wrapping_sub(last).cast_signed();
    let mut step = ((step << 1) ^ (step >> 63)).cast_unsigned();
    while step >> STEP_BITS != 0 {
        row.push(step as u8 | 1 << STEP_BITS);
        step >>= STEP_BITS;
    }
    row.push(step as u8);
    row[..LAST_BYTES].copy_from_slice(&ticket.to_le_bytes());
}

/// Reads all tickets of a row.
pub(super) fn read(row: &[u8], tickets: &mut Vec<u64>) -> Result<(), Fault> {
    let (mut ticket, mut step, mut bits) = (0_u64, 0_u64, 0);
    for byte in row.iter().skip(LAST_BYTES) {
        if bits >= u64::BITS {
            return Err(Fault::Row("a row of the index is damaged".to_owned()));
        }
        step |= u64::from(byte & !(1 << STEP_BITS)) << bits;
        bits += STEP_BITS;
        if byte >> STEP_BITS == 0 {
            let signed = (step >> 1).cast_signed() ^ -(step & 1).cast_signed();
            ticket = ticket.wrapping_add(signed.cast_unsigned());
            tickets.push(ticket);
            (step, bits) = (0, 0);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pushed: &[u64], expected: &[u64]) {
        let (mut row, mut found) = (Vec::new(), Vec::new());
        pushed.iter().for_each(|ticket| push(&mut row, *ticket));
        read(&row, &mut found).unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_was_pushed_is_read() {
        check(&[], &[]);
        check(&[1, 2, 3, 200, 100_000], &[1, 2, 3, 200, 100_000]);
        check(&[5, 5, 4, 5], &[5, 4, 5]);
        check(&[u64::MAX, 1, u64::MAX / 2], &[u64::MAX, 1, u64::MAX / 2]);
    }

    #[test]
    fn neighbours_take_a_byte_each() {
        let mut row = Vec::new();
        (1..=100).for_each(|ticket| push(&mut row, ticket));
        assert_eq!(row.len(), LAST_BYTES + 100);
    }

    #[test]
    fn a_damaged_row_is_an_error() {
        let row = [[0; LAST_BYTES].as_slice(), &[0xff; 20]].concat();
        assert!(read(&row, &mut Vec::new()).is_err());
    }
}
