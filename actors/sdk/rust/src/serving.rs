//! Which handler gets what arrives.
use crate::call::console;
use crate::error::{Error, Result};
use crate::http::{self, Request, Response};
use crate::messaging::{self, Message};
use crate::timers::{self, Tick};

type Take<T> = Box<dyn Fn(&T) -> Result<()>>;
type Own = Box<dyn Fn(&[u8]) -> Result<Vec<u8>>>;
type Serve = fn(&Actor, &[u8]) -> Result<Vec<u8>>;

/// The handlers of an actor. Of several that fit, the first is used.
#[derive(Default)]
pub struct Actor {
    routes: http::Routes,
    messages: Vec<(&'static str, Take<Message>)>,
    timers: Vec<(Option<&'static str>, Take<Tick>)>,
    operations: Vec<(&'static str, Own)>,
    /// What answers the operations of the contracts. Named when a handler is, so that code for what an actor does not
    /// take is left out of its module.
    contracts: Vec<(&'static str, Serve)>,
}

impl Actor {
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests with this method whose path fits: `/people/{name}`, and `/files/{path...}` for all that is below.
    pub fn route(
        mut self,
        method: &'static str,
        pattern: &'static str,
        handler: impl Fn(&Request) -> Result<Response> + 'static,
    ) -> Self {
        self.routes.add(method, pattern, Box::new(handler));
        self.serving(http::OPERATION, Self::take_request)
    }

    pub fn get(self, pattern: &'static str, handler: impl Fn(&Request) -> Result<Response> + 'static) -> Self {
        self.route("GET", pattern, handler)
    }

    pub fn post(self, pattern: &'static str, handler: impl Fn(&Request) -> Result<Response> + 'static) -> Self {
        self.route("POST", pattern, handler)
    }

    pub fn put(self, pattern: &'static str, handler: impl Fn(&Request) -> Result<Response> + 'static) -> Self {
        self.route("PUT", pattern, handler)
    }

    pub fn delete(self, pattern: &'static str, handler: impl Fn(&Request) -> Result<Response> + 'static) -> Self {
        self.route("DELETE", pattern, handler)
    }

    /// Messages on subjects that fit: `*` stands for one word, a final `>` for one or more. Which messages arrive at
    /// all is a matter of the link.
    pub fn on_message(mut self, subject: &'static str, handler: impl Fn(&Message) -> Result<()> + 'static) -> Self {
        self.messages.push((subject, Box::new(handler)));
        self.serving(messaging::OPERATION, Self::take_message)
    }

    /// Ticks of the timer of this name, which is the name of its link.
    pub fn on_timer(mut self, timer: &'static str, handler: impl Fn(&Tick) -> Result<()> + 'static) -> Self {
        self.timers.push((Some(timer), Box::new(handler)));
        self.serving(timers::OPERATION, Self::take_tick)
    }

    /// Ticks of every timer that has no handler before this one.
    pub fn on_tick(mut self, handler: impl Fn(&Tick) -> Result<()> + 'static) -> Self {
        self.timers.push((None, Box::new(handler)));
        self.serving(timers::OPERATION, Self::take_tick)
    }

    /// Calls by other actors, under an operation of the actor's own.
    pub fn on(mut self, operation: &'static str, handler: impl Fn(&[u8]) -> Result<Vec<u8>> + 'static) -> Self {
        self.operations.push((operation, Box::new(handler)));
        self
    }

    fn serving(mut self, operation: &'static str, serve: Serve) -> Self {
        if self.contracts.iter().all(|(name, _)| *name != operation) {
            self.contracts.push((operation, serve));
        }
        self
    }

    /// Answers one call as the host makes it.
    pub fn answer(&self, operation: &str, payload: &[u8]) -> Result<Vec<u8>> {
        if let Some((_, handler)) = self.operations.iter().find(|(name, _)| *name == operation) {
            return handler(payload);
        }
        if let Some((_, serve)) = self.contracts.iter().find(|(name, _)| *name == operation) {
            return serve(self, payload);
        }
        match operation {
            "Actor.HealthRequest" => Ok(b"\x81\xa7healthy\xc3".to_vec()), // {"healthy": true}: it could answer
            _ => Err(Error::new("operation_unknown", format!("this actor has no operation {operation}"))),
        }
    }

    /// Answers an HTTP request that is not on its way as bytes. For tests.
    pub fn answer_http(&self, mut request: Request) -> Result<Response> {
        self.routes.answer(&mut request)
    }

    fn take_request(&self, payload: &[u8]) -> Result<Vec<u8>> {
        Ok(self.routes.answer(&mut Request::decode(payload)?)?.encode())
    }

    fn take_message(&self, payload: &[u8]) -> Result<Vec<u8>> {
        let message = Message::decode(payload)?;
        match self.messages.iter().find(|(pattern, _)| messaging::fits(pattern, &message.subject)) {
            Some((_, handler)) => handler(&message).map(|()| Vec::new()),
            None => Err(Error::new("operation_unknown", format!("no handler takes messages on {}", message.subject))),
        }
    }

    fn take_tick(&self, payload: &[u8]) -> Result<Vec<u8>> {
        let tick = Tick::decode(payload)?;
        match self.timers.iter().find(|(name, _)| name.map_or(true, |name| name == tick.timer)) {
            Some((_, handler)) => handler(&tick).map(|()| Vec::new()),
            None => Err(Error::new("operation_unknown", format!("no handler takes ticks of {}", tick.timer))),
        }
    }
}

/// Panics end in a trap, which says nothing; so what they say goes to the actor's log, with file, line and column.
pub fn set_panic_hook() {
    if cfg!(target_arch = "wasm32") {
        std::panic::set_hook(Box::new(|panic| console(&panic.to_string())));
    }
}
