//! A check that sends some bytes and waits for others.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Finding, TcpProbe};
use crate::config::limits;

/// Asks by `stream`, which is connected: if nothing is to be said, that was the answer. The caller sets the deadline.
pub(super) async fn ask<S>(mut stream: S, probe: &TcpProbe) -> io::Result<Finding>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&probe.send).await?;
    stream.flush().await?;
    let mut received = BytesMut::new();
    let mut seen = 0;
    for expected in &probe.receive {
        loop {
            let unseen = received.get(seen..).unwrap_or_default();
            if let Some(at) = memchr::memmem::find(unseen, expected) {
                seen += at + expected.len();
                break;
            }
            if received.len() >= limits::CHECK_ANSWER_BYTES_MAX || stream.read_buf(&mut received).await? == 0
            {
                return Ok(Finding::Failed);
            }
        }
    }
    Ok(Finding::Healthy)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    async fn ask_of(answer: &[u8], receive: &[&'static str]) -> Finding {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let probe = TcpProbe {
            send: Bytes::from_static(b"PING\r\n"),
            receive: receive
                .iter()
                .map(|text| Bytes::from_static(text.as_bytes()))
                .collect(),
        };
        let answering = async {
            let mut asked = [0; 6];
            theirs.read_exact(&mut asked).await.unwrap();
            theirs.write_all(answer).await.unwrap();
            drop(theirs);
        };
        let (finding, ()) = tokio::join!(ask(ours, &probe), answering);
        finding.unwrap()
    }

    #[tokio::test]
    async fn what_is_expected_has_to_come_in_order() {
        assert_eq!(ask_of(b"+PONG\r\n", &["PONG"]).await, Finding::Healthy);
        assert_eq!(ask_of(b"a-b-c", &["a", "c"]).await, Finding::Healthy);
        assert_eq!(ask_of(b"a-b-c", &["c", "a"]).await, Finding::Failed);
        assert_eq!(ask_of(b"", &["PONG"]).await, Finding::Failed);
        assert_eq!(ask_of(b"", &[]).await, Finding::Healthy);
    }
}
