use super::*;
use crate::config::Handle;
use crate::drain::Drain;

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
