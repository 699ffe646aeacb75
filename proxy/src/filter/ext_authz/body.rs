//! What of a request's body the authorization service gets to see, and how the upstream gets all of it.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::Request;
use http::header::HeaderName;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::body::Body;
use crate::connection::interim::Interim;
use crate::error::{Error, Kind};

/// How much of a request's body a question has in it. The request waits until so much of it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedBody {
    /// The most bytes, above 0.
    pub bytes_max: usize,
    /// What a longer body means.
    pub longer: Longer,
    /// The field of the question that says whether something of the body is missing: `true` or `false`. Default: none.
    pub told_by: Option<HeaderName>,
}

/// What a body means that is longer than what a question may have of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Longer {
    /// The question has its beginning.
    CutOff,
    /// The request is refused: 413.
    Refused,
}

/// What was seen of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its beginning, or all of it.
    pub bytes: Bytes,
    /// Whether there is more.
    pub cut_off: bool,
}

/// Reads the beginning of a body, and puts back a body that begins with it.
pub(super) async fn look(request: &mut Request<Body>, asked: &AskedBody) -> Result<Seen, Error> {
    if HttpBody::is_end_stream(request.body()) {
        return Ok(Seen::default());
    }
    let known = request.body().size_hint().lower();
    if asked.longer == Longer::Refused && known > asked.bytes_max as u64 {
        return Err(Error::new(Kind::BodyTooLarge));
    }
    // Interim responses find their way by the client's own body, which is hidden from here on.
    if let Some(interim) = Interim::of(request).cloned() {
        request.extensions_mut().insert(interim);
    }
    let mut rest = mem::take(request.body_mut());
    let (mut bytes, mut behind) = (BytesMut::new(), None);
    let mut cut_off = false;
    while let Some(frame) = rest.frame().await {
        match frame?.into_data() {
            Ok(mut data) => {
                let taken = data.len().min(asked.bytes_max - bytes.len());
                // One piece for all of them: a client can send a body byte by byte, and a frame is much larger.
                bytes.extend_from_slice(&data.split_to(taken));
                cut_off = !data.is_empty();
                behind = cut_off.then(|| Frame::data(data));
            }
            Err(trailers) => behind = Some(trailers),
        }
        // A body that is exactly so long is not cut off: its end has to be seen.
        if behind.is_some() || rest.is_end_stream() {
            break;
        }
    }
    if cut_off && asked.longer == Longer::Refused {
        return Err(Error::new(Kind::BodyTooLarge));
    }
    let bytes = bytes.freeze();
    let read = (!bytes.is_empty()).then(|| Frame::data(bytes.clone()));
    let kept = read.into_iter().chain(behind).collect();
    *request.body_mut() = Body::new(Rewound { kept, rest });
    Ok(Seen { bytes, cut_off })
}

/// A body of which the first frames were read already.
#[derive(Debug)]
struct Rewound {
    kept: VecDeque<Frame<Bytes>>,
    rest: Body,
}

impl HttpBody for Rewound {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.kept.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.kept.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.kept.iter().filter_map(Frame::data_ref).map(Bytes::len);
        let (kept, rest) = (kept.sum::<usize>() as u64, self.rest.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(kept.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(kept)) {
            hint.set_upper(upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(parts: &[&'static str]) -> Request<Body> {
        let parts = parts
            .iter()
            .map(|part| Ok::<_, Error>(Frame::data(Bytes::from_static(part.as_bytes()))));
        let parts: Vec<_> = parts.collect();
        let stream = http_body_util::StreamBody::new(futures_util::stream::iter(parts));
        Request::new(Body::new(stream))
    }

    #[tokio::test]
    async fn the_service_sees_the_beginning_and_the_upstream_gets_everything() {
        for (bytes_max, seen, cut_off) in [
            (3, "abc", true),
            (4, "abcd", true),
            (6, "abcdef", false),
            (9, "abcdef", false),
        ] {
            let mut request = request(&["abcd", "ef"]);
            let asked = AskedBody {
                bytes_max,
                longer: Longer::CutOff,
                told_by: None,
            };
            let found = look(&mut request, &asked).await.unwrap();
            assert_eq!(found.bytes, seen, "{bytes_max}");
            assert_eq!(found.cut_off, cut_off, "{bytes_max}");
            assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "abcdef");
        }
    }

    #[tokio::test]
    async fn what_comes_byte_by_byte_is_kept_in_one_piece_and_trailers_behind_it() {
        let parts = (0..100).map(|_| Ok::<_, Error>(Frame::data(Bytes::from_static(b"x"))));
        let fields = http::HeaderMap::from_iter([(http::header::EXPIRES, "0".parse().unwrap())]);
        let parts = parts.chain([Ok(Frame::trailers(fields.clone()))]);
        let stream = futures_util::stream::iter(parts.collect::<Vec<_>>());
        let mut request = Request::new(Body::new(http_body_util::StreamBody::new(stream)));
        let asked = AskedBody {
            bytes_max: 1000,
            longer: Longer::Refused,
            told_by: None,
        };
        assert!(!look(&mut request, &asked).await.unwrap().cut_off);
        let mut body = request.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "x".repeat(100));
        let last = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(last, fields);
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_longer_body_is_refused_where_that_is_asked_for() {
        let asked = AskedBody {
            bytes_max: 5,
            longer: Longer::Refused,
            told_by: None,
        };
        let refused = look(&mut request(&["abcd", "ef"]), &asked).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::BodyTooLarge);
        let sized = look(&mut Request::new(Body::from("abcdef")), &asked)
            .await
            .unwrap_err();
        assert_eq!(sized.kind(), Kind::BodyTooLarge);
    }
}
