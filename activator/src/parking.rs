//! How many requests may wait in the whole process, and how many bytes of heads with them?

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request};

/// The bounds of all revisions together. Only requests that wait are counted.
#[derive(Debug)]
pub(crate) struct Parking {
    requests: Meter,
    head_bytes: Meter,
}

/// Room for one waiting request; dropping it frees the room.
#[derive(Debug)]
pub(crate) struct Room {
    parking: Arc<Parking>,
    head_bytes: usize,
}

#[derive(Debug)]
struct Meter {
    used: AtomicUsize,
    max: usize,
}

impl Parking {
    pub(crate) fn new(requests_max: usize, head_bytes_max: usize) -> Arc<Self> {
        let [requests, head_bytes] = [requests_max, head_bytes_max].map(|max| Meter {
            used: AtomicUsize::new(0),
            max,
        });
        Arc::new(Self { requests, head_bytes })
    }

    /// Room for one request with a head of this size, if there is any.
    pub(crate) fn enter(self: &Arc<Self>, head_bytes: usize) -> Option<Room> {
        if !self.requests.add(1) {
            return None;
        }
        if !self.head_bytes.add(head_bytes) {
            self.requests.sub(1);
            return None;
        }
        Some(Room {
            parking: Arc::clone(self),
            head_bytes,
        })
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.used.load(Relaxed)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.parking.head_bytes.sub(self.head_bytes);
        self.parking.requests.sub(1);
    }
}

impl Meter {
    fn add(&self, amount: usize) -> bool {
        let raise = |used: usize| used.checked_add(amount).filter(|sum| *sum <= self.max);
        self.used.fetch_update(Relaxed, Relaxed, raise).is_ok()
    }

    fn sub(&self, amount: usize) {
        self.used.fetch_sub(amount, Relaxed);
    }
}

/// The fields of a request that waits, without the room that a map has for finding them and for more: two thirds of what the
/// map takes for a head of the usual size.
#[derive(Debug)]
pub(crate) struct Packed {
    /// As a map gives them back: a value without a name is another one of the name before.
    fields: Box<[(Option<HeaderName>, HeaderValue)]>,
    /// How many the map had room for, so that it does not grow for those that are added on the way.
    capacity: usize,
}

impl Packed {
    /// Takes all fields out of `headers`.
    pub(crate) fn take(headers: &mut HeaderMap) -> Self {
        let headers = std::mem::take(headers);
        Self {
            capacity: headers.capacity(),
            fields: headers.into_iter().collect(),
        }
    }

    /// Puts them back, in the order that they had.
    pub(crate) fn restore(self, headers: &mut HeaderMap) {
        // It was as large before, so it can be.
        *headers = HeaderMap::try_with_capacity(self.capacity).unwrap_or_default();
        headers.extend(self.fields);
    }
}

/// About how many bytes the head of a request takes.
pub(crate) fn head_bytes<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let fields = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    request.method().as_str().len() + target + authority + fields.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_bounded_by_number_and_by_bytes_and_comes_back() {
        let parking = Parking::new(2, 100);
        let first = parking.enter(60).unwrap();
        assert!(parking.enter(60).is_none(), "bytes");
        assert_eq!(parking.requests(), 1);
        let second = parking.enter(40).unwrap();
        assert!(parking.enter(0).is_none(), "number");
        drop((first, second));
        assert!(parking.enter(100).is_some());
        assert_eq!(parking.requests(), 0);
    }

    #[test]
    fn fields_are_the_same_once_they_are_unpacked() {
        let mut headers = HeaderMap::with_capacity(9);
        let secret = || {
            let mut secret = HeaderValue::from_static("secret");
            secret.set_sensitive(true);
            secret
        };
        headers.append("x-b", HeaderValue::from_static("1"));
        headers.append("authorization", secret());
        headers.append("x-a", HeaderValue::from_static("2"));
        headers.append("x-b", HeaderValue::from_static("3"));
        headers.append("x-b", HeaderValue::from_static("4"));
        let (before, capacity) = (headers.clone(), headers.capacity());
        let packed = Packed::take(&mut headers);
        assert_eq!(
            (headers.len(), headers.capacity()),
            (0, 0),
            "nothing is left behind"
        );
        packed.restore(&mut headers);
        assert!(headers.iter().eq(before.iter()), "{headers:?}");
        assert!(headers["authorization"].is_sensitive());
        assert_eq!(headers.capacity(), capacity);
    }

    #[test]
    fn a_head_is_weighed_by_its_text() {
        let request = Request::get("/a?b").header("host", "example").body(()).unwrap();
        assert_eq!(head_bytes(&request), "GET/a?bhostexample".len());
    }
}
