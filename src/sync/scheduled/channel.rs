//! Channels.

use super::world::{below, is_modelled, switch, wait_for, wait_long};
use crossbeam_channel as channel;
use std::fmt::Debug;
use std::ops::Deref;
use std::time::Duration;

/// [`channel::Sender`]
#[derive(Debug)]
pub struct Sender<T>(channel::Sender<T>);

/// [`channel::Receiver`]
#[derive(Debug)]
pub struct Receiver<T>(channel::Receiver<T>);

/// [`channel::bounded`]
pub fn bounded<T>(most: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = channel::bounded(most);
    (Sender(sender), Receiver(receiver))
}

/// [`channel::unbounded`]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = channel::unbounded();
    (Sender(sender), Receiver(receiver))
}

impl<T> Sender<T> {
    /// As its original.
    pub fn send(&self, message: T) -> Result<(), channel::SendError<T>> {
        if !is_modelled() {
            return self.0.send(message);
        }
        match self.offer(message, None) {
            Ok(()) => Ok(()),
            Err(channel::TrySendError::Full(message) | channel::TrySendError::Disconnected(message)) => {
                Err(channel::SendError(message))
            }
        }
    }

    /// As its original.
    pub fn send_timeout(&self, message: T, longest: Duration) -> Result<(), channel::SendTimeoutError<T>> {
        if !is_modelled() {
            return self.0.send_timeout(message, longest);
        }
        self.offer(message, Some(longest)).map_err(|error| match error {
            channel::TrySendError::Full(message) => channel::SendTimeoutError::Timeout(message),
            channel::TrySendError::Disconnected(message) => channel::SendTimeoutError::Disconnected(message),
        })
    }

    fn offer(&self, message: T, longest: Option<Duration>) -> Result<(), channel::TrySendError<T>> {
        let mut message = Some(message);
        let sent = wait_for(longest, || match self.0.try_send(message.take()?) {
            Ok(()) => Some(Ok(())),
            Err(channel::TrySendError::Full(back)) => {
                message = Some(back);
                None
            }
            Err(disconnected) => Some(Err(disconnected)),
        });
        match (sent, message) {
            (None, Some(message)) => Err(channel::TrySendError::Full(message)),
            (sent, _) => sent.unwrap_or(Ok(())),
        }
    }
}

impl<T> Receiver<T> {
    /// As its original.
    pub fn recv(&self) -> Result<T, channel::RecvError> {
        if !is_modelled() {
            return self.0.recv();
        }
        wait_long(|| self.poll()).ok_or(channel::RecvError)
    }

    /// As its original.
    pub fn recv_timeout(&self, longest: Duration) -> Result<T, channel::RecvTimeoutError> {
        if !is_modelled() {
            return self.0.recv_timeout(longest);
        }
        let heard = wait_for(Some(longest), || self.poll());
        heard.ok_or(channel::RecvTimeoutError::Timeout)?.ok_or(channel::RecvTimeoutError::Disconnected)
    }

    /// A message, or that none will come; `None`: not yet.
    fn poll(&self) -> Option<Option<T>> {
        match self.0.try_recv() {
            Ok(message) => Some(Some(message)),
            Err(channel::TryRecvError::Disconnected) => Some(None),
            Err(channel::TryRecvError::Empty) => None,
        }
    }
}

/// [`crate::sync::either`]
pub(crate) fn recv_either<T>(
    messages: &Receiver<T>,
    words: &Receiver<()>,
    longest: Duration,
) -> Result<T, channel::RecvTimeoutError> {
    if !is_modelled() {
        return crate::sync::either(&messages.0, &words.0, longest);
    }
    let heard = wait_for(Some(longest), || {
        let word = || words.0.try_recv().ok().map(|()| Err(channel::RecvTimeoutError::Timeout));
        let message = || messages.poll().map(|message| message.ok_or(channel::RecvTimeoutError::Disconnected));
        // Of two that are there, either may be first.
        if below(2) == 0 { word().or_else(message) } else { message().or_else(word) }
    });
    heard.unwrap_or(Err(channel::RecvTimeoutError::Timeout))
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Sender<T> {
    type Target = channel::Sender<T>;

    fn deref(&self) -> &Self::Target {
        switch();
        &self.0
    }
}

impl<T> Deref for Receiver<T> {
    type Target = channel::Receiver<T>;

    fn deref(&self) -> &Self::Target {
        switch();
        &self.0
    }
}
