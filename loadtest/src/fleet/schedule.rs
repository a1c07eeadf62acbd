//! When a device is online, and what it calls then: drawn from a seed, so that a run can be repeated.

use std::time::Duration;

use roundsman::clock::Random;

/// How devices are used. What lasts differs from time to time, from half of what is said here to one and a half.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// How long all of it lasts.
    pub length: Duration,
    /// Within this every device comes online for the first time.
    pub peak: Duration,
    /// A device stays online.
    pub online: Duration,
    /// Then it is offline.
    pub offline: Duration,
    /// Its user thinks between two calls.
    pub think: Duration,
    /// So many calls in a hundred hand an order in,
    pub orders_percent: u64,
    /// and so many a visit; the others pull.
    pub visits_percent: u64,
}

/// What a device calls while it is online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// It asks for news.
    Pull,
    /// It hands an order in,
    Order,
    /// or a visit.
    Visit,
}

/// A time online. It begins with new tokens and a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// When it begins, from the beginning of all.
    pub wakes: Duration,
    /// What is called besides, and when; later, if what was called before is not answered yet.
    pub calls: Vec<(Duration, Call)>,
    /// When the connection is closed.
    pub leaves: Duration,
}

impl Habits {
    /// What is called, by a number below 100.
    fn call(&self, drawn: u64) -> Call {
        match drawn {
            drawn if drawn < self.orders_percent => Call::Order,
            drawn if drawn < self.orders_percent + self.visits_percent => Call::Visit,
            _ => Call::Pull,
        }
    }

    /// The sessions of a device.
    #[must_use]
    pub fn sessions(&self, seed: u64) -> Vec<Session> {
        let random = Random::seeded(seed);
        let below = |most: Duration| most.mul_f64(random.next_u64() as f64 / u64::MAX as f64);
        let about = |middle: Duration| middle / 2 + below(middle);
        let (mut sessions, mut wakes) = (Vec::new(), below(self.peak));
        while wakes < self.length {
            let leaves = self.length.min(wakes + about(self.online));
            let (mut calls, mut at) = (Vec::new(), wakes + about(self.think));
            while at < leaves {
                calls.push((at, self.call(random.next_u64() % 100)));
                at += about(self.think);
            }
            sessions.push(Session { wakes, calls, leaves });
            wakes = leaves + about(self.offline);
        }
        sessions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HABITS: Habits = Habits {
        length: Duration::from_secs(100),
        peak: Duration::from_secs(10),
        online: Duration::from_secs(10),
        offline: Duration::from_secs(5),
        think: Duration::from_secs(1),
        orders_percent: 30,
        visits_percent: 20,
    };

    #[test]
    fn a_seed_gives_the_same_sessions_each_time() {
        assert_eq!(HABITS.sessions(7), HABITS.sessions(7));
        assert_ne!(HABITS.sessions(7), HABITS.sessions(8));
    }

    #[test]
    fn sessions_follow_one_another_and_keep_to_the_habits() {
        for seed in 0..100 {
            let sessions = HABITS.sessions(seed);
            assert!(sessions[0].wakes <= HABITS.peak);
            for Session { wakes, calls, leaves } in &sessions {
                assert!(leaves <= &HABITS.length && *leaves - *wakes <= HABITS.online * 3 / 2);
                let moments: Vec<Duration> = calls.iter().map(|(at, _)| *at).collect();
                assert!(moments.is_sorted() && moments.iter().all(|at| (wakes..leaves).contains(&at)));
            }
            let gaps = sessions.windows(2).map(|pair| pair[1].wakes - pair[0].leaves);
            let range = HABITS.offline / 2..=HABITS.offline * 3 / 2;
            assert!(gaps.into_iter().all(|gap| range.contains(&gap)));
        }
    }

    #[test]
    fn some_calls_are_orders_and_some_visits() {
        let sessions = (0..100).flat_map(|seed| HABITS.sessions(seed));
        let calls: Vec<Call> = sessions.flat_map(|session| session.calls).map(|(_, call)| call).collect();
        let part = |of| calls.iter().filter(|call| **call == of).count() as f64 / calls.len() as f64;
        let parts = [Call::Order, Call::Visit, Call::Pull].map(part);
        assert!((0.25..0.35).contains(&parts[0]), "{parts:?}");
        assert!((0.15..0.25).contains(&parts[1]), "{parts:?}");
        assert!((0.45..0.55).contains(&parts[2]), "{parts:?}");
    }
}
