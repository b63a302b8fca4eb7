use std::os::fd::AsFd;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::way::UNDER_WAY;
use super::*;
use crate::rundir::RunDir;

const MS: Duration = Duration::from_millis(1);

/// How long something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing has come that is not to come.
const NOTHING: Duration = Duration::from_millis(30);

/// A link with a connection on it.
struct Link {
    proxy: Proxy,
    caller: Box<dyn Wire>,
    server: Box<dyn Wire>,
    listener: Listener,
    _directory: RunDir,
}

impl Link {
    async fn make(is_unix: bool) -> Link {
        let directory = RunDir::create().expect("a run directory");
        let at = |name: &str| match is_unix {
            true => Endpoint::Unix(directory.path().join(name)),
            false => Endpoint::Tcp(([127, 0, 0, 1], 0).into()),
        };
        let listener = Listener::bind(&at("server")).expect("it listens");
        let server = listener.endpoint(&at("server"));
        let proxy = Proxy::start(&at("proxy"), server, 7).expect("it listens");
        let (caller, server) = connect(&proxy, &listener).await;
        Link { proxy, caller, server, listener, _directory: directory }
    }

    /// One of each kind.
    async fn both() -> [Link; 2] {
        [Link::make(false).await, Link::make(true).await]
    }

    async fn ask(&mut self, text: &[u8]) {
        self.caller.write_all(text).await.expect("the kernel takes it");
    }

    async fn answer(&mut self, text: &[u8]) {
        self.server.write_all(text).await.expect("the kernel takes it");
    }
}

async fn connect(proxy: &Proxy, listener: &Listener) -> (Box<dyn Wire>, Box<dyn Wire>) {
    let (caller, server) = tokio::join!(wire::connect(proxy.endpoint()), listener.accept());
    (caller.expect("it connects"), server.expect("it is connected to"))
}

async fn hears(end: &mut Box<dyn Wire>, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    timeout(PATIENCE, end.read_exact(&mut bytes)).await.expect("in time").expect("so many");
    bytes
}

/// Returns how a connection ended for this side: in order, or by a reset.
async fn end(end: &mut Box<dyn Wire>) -> Result<(), io::ErrorKind> {
    let read = timeout(PATIENCE, end.read(&mut [0; 64])).await.expect("in time");
    read.map(|count| assert_eq!(count, 0)).map_err(|error| error.kind())
}

async fn hears_nothing(end: &mut Box<dyn Wire>) -> bool {
    timeout(NOTHING, end.read(&mut [0; 64])).await.is_err()
}

async fn until(what: impl Fn() -> bool) {
    let waiting = async {
        while !what() {
            tokio::time::sleep(MS).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("in time");
}

#[tokio::test]
async fn bytes_pass_both_ways_and_ends_do() {
    for mut link in Link::both().await {
        link.ask(b"question").await;
        assert_eq!(hears(&mut link.server, 8).await, b"question");
        link.caller.shutdown().await.expect("it can be ended one way");
        assert_eq!(end(&mut link.server).await, Ok(()));
        link.answer(b"late").await;
        assert_eq!(hears(&mut link.caller, 4).await, b"late");
        drop(link.server);
        assert_eq!(end(&mut link.caller).await, Ok(()));
        assert_eq!((link.proxy.accepted(), link.proxy.open()), (1, 0));
    }
}

#[tokio::test]
async fn a_cut_closes_what_is_open_and_nothing_later() {
    for mut link in Link::both().await {
        link.proxy.cut().await;
        assert_eq!(end(&mut link.caller).await, Ok(()));
        assert_eq!(end(&mut link.server).await, Ok(()));
        (link.caller, link.server) = connect(&link.proxy, &link.listener).await;
        link.ask(b"again").await;
        assert_eq!(hears(&mut link.server, 5).await, b"again");
    }
}

#[tokio::test]
async fn a_reset_comes_in_the_middle_of_a_message() {
    for mut link in Link::both().await {
        let is_tcp = matches!(link.proxy.endpoint(), Endpoint::Tcp(_));
        let reset = if is_tcp { Err(io::ErrorKind::ConnectionReset) } else { Ok(()) };
        link.proxy.questions(Flow::ResetAfter { bytes: 4 });
        link.answer(b"the other way").await;
        assert_eq!(hears(&mut link.caller, 13).await, b"the other way");
        link.ask(b"four and more").await;
        let mut heard = Vec::new();
        let read = timeout(PATIENCE, link.server.read_to_end(&mut heard)).await.expect("in time");
        assert_eq!(read.map(drop).map_err(|error| error.kind()), reset);
        // A reset may overtake what was sent before it.
        assert!(heard == b"four" || is_tcp && heard.is_empty(), "{heard:?}");
        assert_eq!(end(&mut link.caller).await, reset);
    }
}

#[tokio::test]
async fn what_is_delayed_comes_later_in_its_order() {
    for mut link in Link::both().await {
        link.proxy.questions(Flow::Delayed { by: 40 * MS, jitter: 40 * MS });
        let begin = Instant::now();
        for letter in [b"a", b"b", b"c"] {
            link.ask(letter).await;
        }
        assert_eq!(hears(&mut link.server, 3).await, b"abc");
        assert!(begin.elapsed() >= 40 * MS, "{:?}", begin.elapsed());
        link.answer(b"prompt").await;
        assert_eq!(hears(&mut link.caller, 6).await, b"prompt", "answers have a flow of their own");
    }
}

#[tokio::test]
async fn a_throttled_link_keeps_its_rate() {
    for mut link in Link::both().await {
        link.proxy.answers(Flow::Throttled { bytes_per_s: 20_000 });
        let begin = Instant::now();
        link.answer(&[b'x'; 4_000]).await;
        assert_eq!(hears(&mut link.caller, 4_000).await, [b'x'; 4_000]);
        assert!(begin.elapsed() >= 190 * MS, "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn nothing_passes_a_stalled_link_and_all_does_afterwards() {
    for mut link in Link::both().await {
        link.proxy.answers(Flow::Stalled);
        link.answer(b"first ").await;
        until(|| link.proxy.stalled_answers() == 6).await;
        link.ask(b"still heard").await;
        assert_eq!(hears(&mut link.server, 11).await, b"still heard");
        link.answer(b"second").await;
        link.server.shutdown().await.expect("it can be ended one way");
        until(|| link.proxy.stalled_answers() == 12).await;
        assert!(hears_nothing(&mut link.caller).await, "neither bytes nor the end");
        link.proxy.answers(Flow::Free);
        assert_eq!(hears(&mut link.caller, 12).await, b"first second");
        assert_eq!(end(&mut link.caller).await, Ok(()));
    }
}

#[tokio::test]
async fn whoever_connects_to_a_stalled_link_reaches_nobody_until_it_is_over() {
    for link in Link::both().await {
        link.proxy.questions(Flow::Stalled);
        let mut hanging = wire::connect(link.proxy.endpoint()).await.expect("the kernel takes it");
        hanging.write_all(b"hello").await.expect("the kernel takes it");
        assert!(timeout(NOTHING, link.listener.accept()).await.is_err());
        assert!(hears_nothing(&mut hanging).await, "nothing is closed");
        link.proxy.questions(Flow::Free);
        let mut server = link.listener.accept().await.expect("it is connected to");
        assert_eq!(hears(&mut server, 5).await, b"hello");
    }
}

#[tokio::test]
async fn the_end_of_a_stalled_caller_is_noticed_and_does_not_pass() {
    for mut link in Link::both().await {
        link.proxy.questions(Flow::Stalled);
        assert_eq!(link.proxy.open(), 1);
        drop(link.caller);
        until(|| link.proxy.open() == 0).await;
        assert!(hears_nothing(&mut link.server).await);
        link.proxy.cut().await;
        assert_eq!(end(&mut link.server).await, Ok(()));
    }
}

#[tokio::test]
async fn who_is_refused_may_come_again() {
    for mut link in Link::both().await {
        link.proxy.go_down().await;
        assert_eq!(end(&mut link.caller).await, Ok(()));
        let refused = wire::connect(link.proxy.endpoint()).await.err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
        link.proxy.come_up().expect("its place is free");
        connect(&link.proxy, &link.listener).await;
    }
}

/// As a process that is being started has it.
#[tokio::test]
async fn whoever_has_a_copy_of_the_listener_does_not_keep_it_open() {
    for mut link in Link::both().await {
        let place = link.proxy.endpoint().clone();
        link.proxy.go_down().await;
        let listener = Listener::bind(&place).expect("its place is free");
        let _copy = listener.as_fd().try_clone_to_owned().expect("a descriptor");
        drop(listener);
        let refused = wire::connect(&place).await.err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused), "{place}");
        link.proxy.come_up().expect("its place is free");
    }
}

#[tokio::test]
async fn what_is_under_way_is_bounded() {
    const KERNEL: usize = 1_024;
    let way = Way::default();
    way.set(Flow::Stalled);
    let (mut sender, from) = tokio::io::duplex(KERNEL);
    let (to, mut receiver) = tokio::io::duplex(KERNEL);
    let carrying = async { way.carry(from, to, 1, ()).await };
    let sending = async {
        let sent = sender.write_all(&[b'x'; 2 * UNDER_WAY]);
        let full = async {
            while way.stalled_bytes() < UNDER_WAY {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(NOTHING).await;
        };
        tokio::select! {
            _ = sent => panic!("more than there is room for"),
            () = full => assert_eq!(way.stalled_bytes(), UNDER_WAY),
        }
        drop(sender);
        way.set(Flow::Free);
        let mut passed = Vec::new();
        receiver.read_to_end(&mut passed).await.expect("it ends");
        passed.len()
    };
    let (carried, passed) = tokio::join!(carrying, sending);
    assert_eq!((carried, passed), (Ok(()), UNDER_WAY + KERNEL), "the rest was never taken");
}

#[tokio::test]
async fn a_target_that_is_away_closes_who_comes() {
    for mut link in Link::both().await {
        drop(link.listener);
        link.caller = wire::connect(link.proxy.endpoint()).await.expect("the proxy listens");
        assert_eq!(end(&mut link.caller).await, Ok(()));
    }
}
