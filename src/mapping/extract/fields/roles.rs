//! Finds the fields of a role, and takes them: a field that is taken is not sent again as it is.

use super::path::Role;
use super::{Field, Fields, Found};
use crate::chunk::msgpack::Value;
use crate::mapping::extract::interner::NameId;

impl<'a> Fields<'a> {
    /// Returns true if the application chose some of the fields: those of a message, or those of a container's record, which
    /// may have been merged.
    pub fn of_application(&self) -> bool {
        let container = self.seen(NameId::STREAM).is_some() || self.roles & Role::Kubernetes.bit() != 0;
        self.has_opened() || container
    }

    /// Returns true if a message was opened and its fields joined the record's.
    pub fn has_opened(&self) -> bool {
        self.before_message.is_some()
    }

    /// Returns true if a field found came from the message, or is a nested one.
    pub fn is_opened(&self, found: &Found<'_>) -> bool {
        self.before_message.is_some_and(|count| found.top.is_none_or(|top| top as usize >= count))
    }

    /// The candidates for a role, in the order of the option's list.
    pub fn candidates(&self, role: Role) -> impl Iterator<Item = Found<'a>> {
        let found = if self.roles & role.bit() == 0 { &[] } else { self.found.as_slice() };
        let start = found.iter().position(|found| found.role == role).unwrap_or(found.len());
        let mut last = None;
        // Of the fields that one name of the list leads to, the first counts.
        found[start..].iter().take_while(move |found| found.role == role).copied().filter(move |found| {
            let rank = Some(found.order >> 1);
            std::mem::replace(&mut last, rank) != rank
        })
    }

    /// The first candidate that `accept` makes something of; a top-level field is then no longer sent as it is.
    #[inline]
    pub fn take<T>(&mut self, role: Role, accept: impl Fn(Found<'a>) -> Option<T>) -> Option<T> {
        if self.roles & role.bit() == 0 {
            return None;
        }
        let (found, result) = self.candidates(role).find_map(|found| Some((found, accept(found)?)))?;
        if let Some(place) = found.top {
            self.all[place as usize].taken = true;
        }
        Some(result)
    }

    /// Takes a field that was found, if it is not nested.
    pub fn mark_found(&mut self, found: &Found<'_>) {
        if let Some(field) = found.top.and_then(|place| self.all.get_mut(place as usize)) {
            field.taken = true;
        }
    }

    /// Takes every field of a role.
    pub fn take_all(&mut self, role: Role) {
        if self.roles & role.bit() == 0 {
            return;
        }
        for found in self.found.iter().filter(|found| found.role == role) {
            if let Some(place) = found.top {
                self.all[place as usize].taken = true;
            }
        }
    }

    /// Takes everything that describes a user: without `send_pii` none of it is sent.
    pub fn take_users(&mut self) {
        self.take_all(Role::UserId);
        if !self.has_user {
            return;
        }
        let describes = |name: &[u8]| name == b"user" || name.starts_with(b"user.");
        for field in self.all.iter_mut().filter(|field| field.key.text().is_some_and(describes)) {
            field.taken = true;
        }
    }

    /// The value of a top-level field.
    #[must_use]
    pub fn get(&self, name: NameId) -> Option<Value<'a>> {
        self.seen(name).map(|place| self.all[place].value)
    }

    /// The value of a top-level field that was there before the message was opened.
    #[must_use]
    pub fn get_before_message(&self, name: NameId) -> Option<Value<'a>> {
        let place = self.seen(name)?;
        self.before_message.is_none_or(|count| place < count).then(|| self.all[place].value)
    }

    /// Takes a top-level field.
    pub fn mark(&mut self, name: NameId) {
        let place = match self.seen(name) {
            None if self.odd => self.all.iter().position(|field| field.key.text() == Some(name.well_known())),
            seen => seen,
        };
        if let Some(place) = place {
            self.all[place].taken = true;
        }
    }

    /// Fields that nothing has taken: sent as attributes or extra.
    pub fn rest(&self) -> impl Iterator<Item = &Field<'a>> {
        self.all.iter().filter(|field| !field.taken && field.value != Value::Nil)
    }
}
