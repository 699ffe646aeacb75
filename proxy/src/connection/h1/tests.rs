use super::*;
use crate::config::Handle;
use crate::drain::Drain;
use crate::request::{Arrival, Prepared};

/// As many as there are idle connections exist of it.
#[tokio::test]
async fn the_future_of_a_connection_stays_small() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let stream = crate::connection::stream::Stream::from(stream);
    let (presence, socket) = (stream.presence(), Socket::plain(stream));
    let (_drain, watch) = Drain::new();
    let proxy = Proxy::new(Handle::default(), watch);
    let size = size_of_val(&serve(socket, &presence, &proxy));
    assert!(size <= 512, "{size} bytes");
}

/// As many as wait in layers for a replica exist of it.
#[test]
fn the_future_of_a_request_that_layers_may_hold_stays_small() {
    fn size<F>(_run: impl Fn(OneRequest<'static, 'static>, (Arrival<'static>, Prepared)) -> F) -> usize {
        size_of::<F>()
    }
    // A size that the allocator has; the next larger one is 1 536.
    let held = size(|exchange, arrived| exchange.run::<Boxed>(arrived));
    assert!(held <= 1_280, "{held} bytes");
    // It is allocated for every other request.
    let inline = size(|exchange, arrived| exchange.run::<Inline>(arrived));
    assert!(inline <= 2_560, "{inline} bytes");
}
