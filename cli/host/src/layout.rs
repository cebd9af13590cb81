//! Fluent Bit's structures as the plugin sees them, and the parts of each that a generation of Fluent Bit has.
#![deny(unsafe_code)]

use super::library::Allocation;
use std::ffi::{c_char, c_int, c_void};
use std::mem::{offset_of, size_of};
use std::sync::atomic::{AtomicPtr, Ordering};

/// `FLB_PROXY_OUTPUT_PLUGIN`.
pub(super) const OUTPUT: i32 = 2;
/// `FLB_PROXY_GOLANG`.
pub(super) const GOLANG: i32 = 11;

/// A generation of Fluent Bit, as far as a plugin can tell one from another.
///
/// Each is named after the first release that had its layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Generation {
    /// 1.9: the function table holds one pointer, records are `[time, map]`.
    V1_9,
    /// 2.0: log functions appear in the table.
    V2_0,
    /// 2.1: records become `[[time, metadata], map]`.
    V2_1,
    /// 2.2: `FLBPluginPreRegister`, `FLBPluginOutputPreRun` and `FLBPluginOutputPreExit` are called.
    V2_2,
    /// 4.0.3: two more functions at the end of the table.
    V4_0,
    /// 4.2.3: the definition is zeroed and has `event_type`.
    V4_2,
    /// 5.1.1: the definition has `config_map`.
    #[default]
    V5_1,
}

impl Generation {
    /// All of them, oldest first.
    pub const ALL: [Self; 7] = [Self::V1_9, Self::V2_0, Self::V2_1, Self::V2_2, Self::V4_0, Self::V4_2, Self::V5_1];

    /// Bytes of `flb_plugin_proxy_def` this host allocates.
    pub fn definition_size(self) -> usize {
        match self {
            Self::V5_1 => 48,
            Self::V4_2 => 40,
            _ => 32,
        }
    }

    /// Functions in this host's `flb_api`.
    pub fn api_functions(self) -> usize {
        match self {
            Self::V1_9 => 1,
            Self::V2_0 | Self::V2_1 | Self::V2_2 => 7,
            _ => 9,
        }
    }

    /// Returns true if Fluent Bit of this generation calls the hooks around registration, start and exit.
    pub fn has_hooks(self) -> bool {
        self >= Self::V2_2
    }

    /// 1 for `[time, map]`, 2 for `[[time, metadata], map]`.
    pub fn record_format(self) -> u8 {
        if self >= Self::V2_1 { 2 } else { 1 }
    }

    fn zeroes_definition(self) -> bool {
        self >= Self::V4_2
    }
}

/// Content of memory that this host has not written. A plugin cannot mistake it for a pointer or for zero.
const POISON: u64 = 0xA5A5_A5A5_A5A5_A5A5;

/// `flb_plugin_proxy_def`, kept as words, because its length depends on the generation.
///
/// It is allocated as Fluent Bit allocates it, since a plugin may ask the allocator how much room there is. The additional
/// bytes of the allocator are poisoned and checked after registration: in a real Fluent Bit of that generation a plugin that
/// writes there may damage the heap. Words are atomic because the plugin writes them without this code's knowledge.
pub(super) struct Definition {
    words: Allocation,
    generation: Generation,
}

impl Definition {
    pub(super) fn new(generation: Generation) -> Self {
        let allocated = generation.definition_size() / 8;
        let words = Allocation::new(generation.definition_size());
        for (index, word) in words.iter().enumerate() {
            let value = match index {
                // The host sets `type` to 0 itself; `proxy` shares the word and is as the allocator left it.
                0 if !generation.zeroes_definition() => POISON & !0xFFFF_FFFF_u64.to_le(),
                _ if generation.zeroes_definition() && index < allocated => 0,
                _ => POISON,
            };
            word.store(value, Ordering::Relaxed);
        }
        Self { words, generation }
    }

    pub(super) fn as_ptr(&self) -> *mut c_void {
        self.words.as_ptr().cast_mut().cast()
    }

    /// `type` and `proxy`.
    pub(super) fn kind(&self) -> (i32, i32) {
        let bytes = self.words[0].load(Ordering::Relaxed).to_ne_bytes();
        let half = |at: usize| i32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        (half(0), half(4))
    }

    /// `name`; `None` where the plugin left NULL or the initial value.
    pub(super) fn name(&self) -> Option<*const c_char> {
        self.pointer(2)
    }

    /// `description`; `None` where the plugin left NULL or the initial value.
    pub(super) fn description(&self) -> Option<*const c_char> {
        self.pointer(3)
    }

    /// `event_type`; `None` in a host that has no such field.
    pub(super) fn event_type(&self) -> Option<u32> {
        let word = self.words.get(4).filter(|_| self.generation >= Generation::V4_2)?;
        let bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        Some(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// `config_map`; `None` where the plugin left NULL or in a host that has no such field.
    pub(super) fn config_map(&self) -> Option<*const ConfigMap> {
        if self.generation >= Generation::V5_1 { self.pointer(5) } else { None }
    }

    fn pointer<T>(&self, index: usize) -> Option<*const T> {
        let word = self.words[index].load(Ordering::Relaxed);
        (word != 0 && word != POISON).then(|| std::ptr::with_exposed_provenance(word as usize))
    }

    /// Returns true if the plugin wrote beyond the end of the definition.
    pub(super) fn overrun(&self) -> bool {
        let allocated = self.generation.definition_size() / 8;
        self.words[allocated..].iter().any(|word| word.load(Ordering::Relaxed) != POISON)
    }
}

/// `flb_config_map`: an option that the plugin declares. The fields after `desc` are Fluent Bit's own.
#[repr(C)]
pub(super) struct ConfigMap {
    pub(super) kind: c_int,
    pub(super) name: *const c_char,
    pub(super) def_value: *const c_char,
    pub(super) flags: c_int,
    pub(super) set_property: c_int,
    pub(super) offset: usize,
    pub(super) desc: *const c_char,
    value: [usize; 5],
    head: [usize; 2],
}

/// `flb_plugin_proxy_context`: one per instance; the plugin stores its own context in it during Init.
#[repr(C)]
pub(super) struct ProxyContext {
    pub(super) remote_context: AtomicPtr<c_void>,
    pub(super) proxy: AtomicPtr<c_void>,
}

impl ProxyContext {
    /// Returns the context that the plugin stored during Init.
    pub(super) fn remote(&self) -> *mut c_void {
        self.remote_context.load(Ordering::Relaxed)
    }
}

/// `flbgo_output_plugin`: one per loaded plugin, shared by all its instances. The fields are atomic only so that the
/// structure may be shared; their layout is that of plain pointers.
#[repr(C)]
#[derive(Default)]
pub(super) struct GoPlugin {
    pub(super) name: AtomicPtr<c_char>,
    pub(super) api: AtomicPtr<Api>,
    pub(super) o_ins: AtomicPtr<c_void>,
    pub(super) context: AtomicPtr<ProxyContext>,
    /// `cb_init`, `cb_flush`, `cb_flush_ctx`, `cb_exit`, `cb_exit_ctx`: Fluent Bit's own, of no use to a plugin.
    callbacks: [AtomicPtr<c_void>; 5],
}

pub(super) type GetProperty = unsafe extern "C" fn(*const c_char, *mut c_void) -> *const c_char;
pub(super) type GetMetrics = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
/// The plugin calls it as `void (*)(int, const char *, int, const char *, ...)`, see `log_print` in `library`.
pub(super) type LogPrint = unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char, *const c_char);
pub(super) type LogCheck = unsafe extern "C" fn(*mut c_void, c_int) -> c_int;

/// `flb_api`. Functions that an older Fluent Bit lacks are filled with ones that say so and abort, where the real Fluent Bit
/// has whatever comes next in memory.
#[repr(C)]
pub(super) struct Api {
    pub(super) output_get_property: GetProperty,
    pub(super) input_get_property: GetProperty,
    pub(super) output_get_cmt_instance: GetMetrics,
    pub(super) input_get_cmt_instance: GetMetrics,
    pub(super) log_print: LogPrint,
    pub(super) input_log_check: LogCheck,
    pub(super) output_log_check: LogCheck,
    pub(super) custom_get_property: GetProperty,
    pub(super) custom_log_check: LogCheck,
}

const _: () = {
    assert!(size_of::<ProxyContext>() == 16);
    assert!(size_of::<GoPlugin>() == 72);
    assert!(size_of::<Api>() == 72);
    assert!(size_of::<ConfigMap>() == 104);
};

/// Sizes and offsets of the mirrors above, each as an expression of C about the plugin's `out_sentry.h`: a test has a
/// compiler work them out.
pub const LAYOUT: &[(&str, usize)] = &[
    ("sizeof(struct out_sentry_context)", size_of::<ProxyContext>()),
    ("offsetof(struct out_sentry_context, remote_context)", offset_of!(ProxyContext, remote_context)),
    ("offsetof(struct out_sentry_context, proxy)", offset_of!(ProxyContext, proxy)),
    ("sizeof(struct out_sentry_plugin)", size_of::<GoPlugin>()),
    ("offsetof(struct out_sentry_plugin, name)", offset_of!(GoPlugin, name)),
    ("offsetof(struct out_sentry_plugin, api)", offset_of!(GoPlugin, api)),
    ("offsetof(struct out_sentry_plugin, instance)", offset_of!(GoPlugin, o_ins)),
    ("offsetof(struct out_sentry_plugin, context)", offset_of!(GoPlugin, context)),
    ("offsetof(struct out_sentry_plugin, callbacks)", offset_of!(GoPlugin, callbacks)),
    ("sizeof(struct out_sentry_config_map)", size_of::<ConfigMap>()),
    ("offsetof(struct out_sentry_config_map, type)", offset_of!(ConfigMap, kind)),
    ("offsetof(struct out_sentry_config_map, name)", offset_of!(ConfigMap, name)),
    ("offsetof(struct out_sentry_config_map, default_value)", offset_of!(ConfigMap, def_value)),
    ("offsetof(struct out_sentry_config_map, flags)", offset_of!(ConfigMap, flags)),
    ("offsetof(struct out_sentry_config_map, set_property)", offset_of!(ConfigMap, set_property)),
    ("offsetof(struct out_sentry_config_map, offset)", offset_of!(ConfigMap, offset)),
    ("offsetof(struct out_sentry_config_map, description)", offset_of!(ConfigMap, desc)),
    ("offsetof(struct out_sentry_config_map, value)", offset_of!(ConfigMap, value)),
    ("offsetof(struct out_sentry_config_map, list)", offset_of!(ConfigMap, head)),
    ("sizeof(struct out_sentry_api)", size_of::<Api>()),
    ("offsetof(struct out_sentry_api, base.output_get_property)", offset_of!(Api, output_get_property)),
    ("offsetof(struct out_sentry_api, base.input_get_property)", offset_of!(Api, input_get_property)),
    ("offsetof(struct out_sentry_api, base.output_get_cmt_instance)", offset_of!(Api, output_get_cmt_instance)),
    ("offsetof(struct out_sentry_api, base.input_get_cmt_instance)", offset_of!(Api, input_get_cmt_instance)),
    ("offsetof(struct out_sentry_api, base.log_print)", offset_of!(Api, log_print)),
    ("offsetof(struct out_sentry_api, base.input_log_check)", offset_of!(Api, input_log_check)),
    ("offsetof(struct out_sentry_api, base.output_log_check)", offset_of!(Api, output_log_check)),
    ("offsetof(struct out_sentry_api, custom_get_property)", offset_of!(Api, custom_get_property)),
    ("offsetof(struct out_sentry_api, custom_log_check)", offset_of!(Api, custom_log_check)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_hosts_have_less() {
        let sizes = Generation::ALL.map(|g| (g.definition_size(), g.api_functions(), g.record_format()));
        assert_eq!(sizes, [(32, 1, 1), (32, 7, 1), (32, 7, 2), (32, 7, 2), (32, 9, 2), (40, 9, 2), (48, 9, 2)]);
        assert_eq!(Generation::ALL.map(|g| g.has_hooks()), [false, false, false, true, true, true, true]);
    }

    #[test]
    fn a_fresh_definition_is_of_no_kind() {
        for generation in Generation::ALL {
            let definition = Definition::new(generation);
            assert_eq!(definition.kind().0, 0, "{generation:?}");
            assert_ne!(definition.kind(), (OUTPUT, GOLANG));
            assert!(definition.name().is_none() && definition.description().is_none());
            assert!(definition.config_map().is_none());
            assert!(!definition.overrun());
        }
    }

    #[test]
    fn a_write_behind_the_end_is_seen_only_where_it_is_one() {
        for generation in Generation::ALL {
            let definition = Definition::new(generation);
            // What fluent-bit-go does: `event_type = 0` at offset 32. An allocator may have no room there at all.
            let Some(word) = definition.words.get(4) else { continue };
            word.store(0, Ordering::Relaxed);
            assert_eq!(definition.overrun(), generation.definition_size() == 32, "{generation:?}");
        }
    }
}
