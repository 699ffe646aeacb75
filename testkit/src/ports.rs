//! Which ports are free for a program that has to be told its port?

use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// The first port that is handed out.
const FIRST: u16 = 10_000;
/// How many are handed out before the first comes again. All are below those that Linux gives to connections by itself
/// (`net.ipv4.ip_local_port_range`, from 32768): one of them could be taken at any time before the program has it.
const COUNT: u16 = 22_000;
/// How far apart two processes begin: more than a test takes, and no divisor of [`COUNT`].
const STRIDE: u32 = 97;

static HANDED_OUT: AtomicU32 = AtomicU32::new(0);

/// Ports of 127.0.0.1 on which nobody listens; no two the same, nor in other calls for a long time.
///
/// # Panics
/// When no port is free.
#[must_use]
pub fn free<const N: usize>() -> [u16; N] {
    std::array::from_fn(|_| one())
}

fn one() -> u16 {
    for _ in 0..COUNT {
        let number = HANDED_OUT.fetch_add(1, Ordering::Relaxed);
        let place = process::id().wrapping_mul(STRIDE).wrapping_add(number) % u32::from(COUNT);
        let port = FIRST + u16::try_from(place).expect("it is below COUNT");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} on is free");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_what_is_taken_is_left_out() {
        let [first, second] = free();
        assert_ne!(first, second);
        assert!((FIRST..FIRST + COUNT).contains(&first));
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).expect("it was free");
        // As if all had been handed out once.
        let rest = u32::from(COUNT) - 2;
        HANDED_OUT.fetch_add(rest, Ordering::Relaxed);
        assert!(!free::<2>().contains(&first));
    }
}
