//! Which calls records belong to that stand one behind the other: a name that can be told from the one before is left out.

use bytes::{BufMut, BytesMut};

use crate::ids::CallId;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::time::WallTime;

use super::head::RecordHead;

/// What a reader of calls, or of answers, keeps of the record before, on one link.
///
/// A record without attributes belongs to the call that its client made next after the one of the record before, and
/// expires with that; it says nothing else. Both sides have to know this
/// ([`Hello::KNOWS_NAMING`](crate::wire::Hello::KNOWS_NAMING)).
#[derive(Clone, Copy, Default, Debug)]
pub struct Naming {
    call: Option<CallId>,
    expires: Option<WallTime>,
}

impl Naming {
    /// The call that the next record belongs to, and when it expires; `None` if that cannot be told.
    #[inline]
    pub fn read(&mut self, head: &RecordHead) -> Option<(CallId, Option<WallTime>)> {
        if head.is_bare() {
            self.call = self.call.and_then(CallId::next);
        } else {
            (self.call, self.expires) = (head.call, head.expires);
        }
        self.call.map(|call| (call, self.expires))
    }

    /// Passes so many records over, which leave their names out, and of which the last has one.
    #[inline]
    pub(crate) fn pass(&mut self, records: u64) {
        self.call = self.call.map(|call| call.later(records));
    }
}

/// Writes the head of a record that leaves out what can be told from the one before.
#[inline]
pub(crate) fn write_bare_head(out: &mut BytesMut, payload_bytes: usize) {
    debug_assert!(payload_bytes <= MESSAGE_BYTES_MAX);
    out.put_u32_le(payload_bytes as u32);
}

#[cfg(test)]
mod tests {
    use super::super::{Attributes, Records, write_head};
    use super::*;

    #[test]
    fn a_name_that_is_left_out_is_the_next_one() {
        let call = |number| CallId::new([7; 8], number);
        let expires = Some(WallTime::from_millis(5));
        let named = |number, expires| Attributes {
            call: Some(call(number)),
            expires,
            ..Attributes::default()
        };
        let mut records = BytesMut::new();
        write_bare_head(&mut records, 0);
        write_head(&mut records, 0, &named(3, expires));
        write_bare_head(&mut records, 0);
        write_bare_head(&mut records, 0);
        write_head(&mut records, 0, &named(u64::MAX, None));
        write_bare_head(&mut records, 0);
        write_head(&mut records, 0, &Attributes { expires, ..Attributes::default() });
        write_bare_head(&mut records, 0);
        let mut naming = Naming::default();
        let read: Vec<_> = Records::new(&records).map(|(_, head)| naming.read(&head)).collect();
        let named = [3, 4, 5].map(|number| Some((call(number), expires)));
        let last = Some((call(u64::MAX), None));
        assert_eq!(read, [&[None][..], &named, &[last, None, None, None]].concat());
    }
}
