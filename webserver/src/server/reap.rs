//! Ending connections: those that are done, those that are at fault, those that take too long.

use crate::connection::{Connection, Phase};
use crate::expire::{Pressure, SHORTEST_MS, limit_ms};
use crate::platform::{CommandKind, Platform};
use crate::status::{Refusal, Status};

use super::Server;

const TOO_SLOW: Refusal = Refusal::new(Status::RequestTimeout, "the request took too long");

impl<P: Platform> Server<P> {
    pub(super) fn close(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        self.outbox.put(CommandKind::Close, connection.socket, 0);
        connection.enter(Phase::Closing, self.clock.ms);
        connection.input.clear();
        connection.body = None;
        self.watch(place);
    }

    #[cold]
    pub(super) fn abort(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        self.outbox.put(CommandKind::Abort, connection.socket, 0);
        connection.enter(Phase::Aborted, self.clock.ms);
        connection.input.clear();
        connection.body = None;
        self.counters.aborted += 1;
    }

    pub(super) fn pressure(&self) -> Pressure {
        Pressure::of(self.free, self.connections.len())
    }

    /// Sees to it that the limit of this connection's phase is not missed.
    pub(super) fn watch(&mut self, place: usize) {
        let connection = &self.connections[place];
        if let Some(limit) = limit_ms(connection, self.pressure()) {
            self.check_ms = self.check_ms.min(connection.since_ms.saturating_add(limit));
        }
    }

    /// Ends what has been in its phase for too long. Under pressure idle connections go only as
    /// far as places are short, the longest idle first.
    #[cold]
    pub(super) fn expire(&mut self) {
        let now = self.clock.ms;
        let pressure = self.pressure();
        let expired = |c: &Connection<P::Buffer>, pressure| {
            limit_ms(c, pressure).is_some_and(|limit| c.since_ms.saturating_add(limit) <= now)
        };
        for place in 0..self.connections.len() {
            let connection = &self.connections[place];
            if connection.phase == Phase::Idle || !expired(connection, pressure) {
                continue;
            }
            self.counters.timed_out += 1;
            if connection.phase == Phase::Reading && connection.works == 0 {
                self.connections[place].body = None;
                self.refuse(place, TOO_SLOW);
            } else {
                self.abort(place);
            }
        }
        let leaving =
            |c: &&Connection<P::Buffer>| matches!(c.phase, Phase::Closing | Phase::Aborted);
        let mut places = self.free + self.connections.iter().filter(leaving).count();
        loop {
            let idle = |at: &usize| self.connections[*at].phase == Phase::Idle;
            let oldest = (0..self.connections.len())
                .filter(idle)
                .min_by_key(|at| self.connections[*at].since_ms);
            let Some(place) = oldest else { break };
            let pressure = Pressure::of(places, self.connections.len());
            if !expired(&self.connections[place], pressure) {
                break;
            }
            self.counters.timed_out += 1;
            self.close(place);
            places += 1;
        }
        let pressure = self.pressure();
        let deadlines = self
            .connections
            .iter()
            .filter_map(|c| limit_ms(c, pressure).map(|limit| c.since_ms.saturating_add(limit)));
        // At least a little ahead: what is due and stays would make every round look again.
        self.check_ms = deadlines.min().unwrap_or(u64::MAX).max(now + SHORTEST_MS);
    }
}
