//! How is a trace's context read and written? (W3C Trace Context; B3 is only read.)

use std::num::{NonZeroU64, NonZeroU128};

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::observe::request_id::{hex_digit, random};

/// Which trace and span a request belongs to.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What vendors add to it.
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

const B3: HeaderName = HeaderName::from_static("b3");
const B3_TRACE: HeaderName = HeaderName::from_static("x-b3-traceid");
const B3_SPAN: HeaderName = HeaderName::from_static("x-b3-spanid");
const B3_SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
const B3_FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");

const MILLION: u32 = 1_000_000;

/// `00-<32 digits>-<16 digits>-<2 digits>`
const LENGTH: usize = 55;

/// A span of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) trace_id: NonZeroU128,
    pub(crate) span_id: NonZeroU64,
    pub(crate) sampled: bool,
}

impl Context {
    /// The first span of a new trace, which is not sampled yet.
    pub(crate) fn new(random: u128) -> Self {
        Self {
            trace_id: NonZeroU128::new(random).unwrap_or(NonZeroU128::MIN),
            span_id: new_span_id(),
            sampled: false,
        }
    }

    /// The same, sampled if its trace is among so many of a million: by the trace's id, and by the bits of it that OpenTelemetry's
    /// `TraceIdRatioBased` takes in Go.
    pub(crate) fn sampled_by(self, per_million: u32) -> Self {
        let [.., a, b, c, d, e, f, g, h] = self.trace_id.get().to_be_bytes();
        let place = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
        let end = (u128::from(per_million) << 63) / u128::from(MILLION);
        Self {
            sampled: u128::from(place) < end,
            ..self
        }
    }

    /// Another span of the same trace.
    pub(crate) fn child(self) -> Self {
        Self {
            span_id: new_span_id(),
            ..self
        }
    }

    /// As `traceparent` says it.
    pub(crate) fn to_field(self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&self.trace_id.get().to_be_bytes(), text.get_mut(3..35));
        write_hex(&self.span_id.get().to_be_bytes(), text.get_mut(36..52));
        write_hex(&[u8::from(self.sampled)], text.get_mut(53..));
        // Digits and dashes are always a field's value.
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

fn new_span_id() -> NonZeroU64 {
    let [.., a, b, c, d, e, f, g, h] = random().to_be_bytes();
    NonZeroU64::new(u64::from_be_bytes([a, b, c, d, e, f, g, h])).unwrap_or(NonZeroU64::MIN)
}

fn write_hex(bytes: &[u8], place: Option<&mut [u8]>) {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    for (place, digit) in place.into_iter().flatten().zip(digits) {
        *place = hex_digit(digit);
    }
}

/// The context in `traceparent`, if there is exactly one and it keeps every rule.
pub(crate) fn read(headers: &HeaderMap) -> Option<Context> {
    parse(only(headers, &TRACEPARENT)?)
}

/// spec: W3C Trace Context §3.2. A higher version than 00 may go on after another dash.
pub(crate) fn parse(text: &[u8]) -> Option<Context> {
    let version = hex(text.get(..2)?)?;
    let longer = text.len() > LENGTH;
    if version == 0xff || (version == 0 && longer) || (longer && text.get(LENGTH) != Some(&b'-')) {
        return None;
    }
    let dashes = [2, 35, 52].iter().all(|at| text.get(*at) == Some(&b'-'));
    let flags = hex(text.get(53..LENGTH)?)?;
    if !dashes {
        return None;
    }
    Some(Context {
        trace_id: NonZeroU128::new(hex(text.get(3..35)?)?)?,
        span_id: span_id(text.get(36..52)?)?,
        sampled: flags & 1 == 1,
    })
}

/// The context in `b3`, or in the fields of before.
pub(crate) fn read_b3(headers: &HeaderMap) -> Option<Context> {
    if let Some(single) = only(headers, &B3) {
        let mut parts = single.split(|byte| *byte == b'-');
        let (trace, span, sampled) = (parts.next()?, parts.next()?, parts.next());
        return b3(trace, span, sampled);
    }
    let sampled = match only(headers, &B3_FLAGS) {
        Some(b"1") => Some(&b"d"[..]),
        _ => only(headers, &B3_SAMPLED),
    };
    b3(only(headers, &B3_TRACE)?, only(headers, &B3_SPAN)?, sampled)
}

fn b3(trace: &[u8], span: &[u8], sampled: Option<&[u8]>) -> Option<Context> {
    if !matches!(trace.len(), 16 | 32) || span.len() != 16 {
        return None;
    }
    Some(Context {
        trace_id: NonZeroU128::new(hex(trace)?)?,
        span_id: span_id(span)?,
        sampled: matches!(sampled, Some(b"1" | b"d" | b"true")),
    })
}

fn span_id(digits: &[u8]) -> Option<NonZeroU64> {
    NonZeroU64::new(u64::try_from(hex(digits)?).ok()?)
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

/// Lower-case digits alone, at most 32 of them.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_context_is_read_as_it_was_written() {
        let context = parse(format!("00-{TRACE}-{SPAN}-01").as_bytes()).unwrap();
        assert!(context.sampled);
        assert_eq!(context.to_field(), format!("00-{TRACE}-{SPAN}-01"));
        let child = context.child();
        assert_eq!(child.trace_id, context.trace_id);
        assert_ne!(child.span_id, context.span_id);
        let fresh = Context::new(7);
        assert_eq!(parse(fresh.to_field().as_bytes()), Some(fresh));
    }

    #[test]
    fn what_breaks_a_rule_is_no_context() {
        let check = |text: String, valid: bool| {
            assert_eq!(parse(text.as_bytes()).is_some(), valid, "{text}");
        };
        check(format!("00-{TRACE}-{SPAN}-00"), true);
        check(format!("cc-{TRACE}-{SPAN}-01-more"), true);
        check(format!("cc-{TRACE}-{SPAN}-01.more"), false);
        check(format!("00-{TRACE}-{SPAN}-01-more"), false);
        check(format!("ff-{TRACE}-{SPAN}-01"), false);
        check(format!("00-{}-{SPAN}-01", "0".repeat(32)), false);
        check(format!("00-{TRACE}-{}-01", "0".repeat(16)), false);
        check(format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), false);
        check(format!("00-{TRACE}_{SPAN}-01"), false);
        check(format!("00-{TRACE}-{SPAN}-0"), false);
        check(format!("00-{TRACE}-{SPAN}"), false);
        check(String::new(), false);
    }

    #[test]
    fn b3_is_read_in_both_its_forms() {
        let check = |fields: &[(&'static str, String)], sampled: Option<bool>| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, HeaderValue::try_from(value).unwrap());
            }
            let read = read_b3(&headers).map(|context| context.sampled);
            assert_eq!(read, sampled, "{fields:?}");
        };
        check(&[("b3", format!("{TRACE}-{SPAN}-1"))], Some(true));
        check(&[("b3", format!("{TRACE}-{SPAN}"))], Some(false));
        check(&[("b3", "0".to_owned())], None);
        let (trace, span) = (
            ("x-b3-traceid", SPAN.to_owned()),
            ("x-b3-spanid", SPAN.to_owned()),
        );
        check(
            &[trace.clone(), span.clone(), ("x-b3-sampled", "1".to_owned())],
            Some(true),
        );
        check(&[trace, span, ("x-b3-flags", "1".to_owned())], Some(true));
    }

    #[test]
    fn a_trace_is_sampled_by_its_id_whoever_decides() {
        let check = |trace_id: u128, per_million, expected| {
            let decided = Context::new(trace_id).sampled_by(per_million);
            assert_eq!(decided.sampled, expected, "{trace_id:x} {per_million}");
            // What was decided before does not count.
            assert_eq!(decided.sampled_by(per_million), decided);
        };
        let half = u128::from(u64::MAX / 2);
        check(1, 0, false);
        check(1, 1, true);
        check(half, 500_000, true);
        check(half + 1, 500_000, false);
        check(u128::MAX, MILLION - 1, false);
        check(u128::MAX, MILLION, true);
        // The upper half of an id does not count.
        check((7 << 64) | half, 500_000, true);
    }

    #[test]
    fn two_contexts_are_none() {
        let mut headers = HeaderMap::new();
        for _ in 0..2 {
            headers.append(TRACEPARENT, Context::new(7).to_field());
        }
        assert_eq!(read(&headers), None);
    }
}
