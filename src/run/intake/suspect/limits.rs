//! What the process that judges a suspect may take.
//!
//! The limits count from the moment they are set, so that a large configuration takes nothing from
//! the mail. Memory over the limit is not given, which aborts the process; over the processor time
//! the kernel sends SIGXCPU. Both are signs that nothing outside gives: a process that the kernel
//! or a person kills ends with SIGKILL or SIGTERM.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Memory that any mail may take. Bytes.
const MEMORY_BYTES: u64 = 192 << 20;
/// Memory that a mail may take in addition for each of its bytes. Bytes.
const MEMORY_BYTES_PER_BYTE: u64 = 12;
/// Processor time for all steps of one mail. Seconds.
pub(super) const PROCESSOR_SECS_MAX: u64 = 10;
/// Between the signal for it and SIGKILL. Seconds.
const PROCESSOR_GRACE_SECS: u64 = 5;

/// Memory that a mail of this length may take. Bytes.
pub(super) fn memory_bytes_max(mail_bytes: usize) -> u64 {
    MEMORY_BYTES + MEMORY_BYTES_PER_BYTE * mail_bytes as u64
}

/// Limits this process for a mail of this length.
pub(super) fn set(mail_bytes: usize) -> io::Result<()> {
    // The kernel, short of memory, ends this process before the daemon. Without /proc to write to it
    // chooses by itself.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    // A core would hold the mail.
    limit(Resource::Core, 0, 0)?;
    let data = data_bytes()? + memory_bytes_max(mail_bytes);
    limit(Resource::Data, data, data)?;
    let used = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or(0);
    let processor = used + 1 + PROCESSOR_SECS_MAX;
    limit(Resource::Cpu, processor, processor + PROCESSOR_GRACE_SECS)
}

/// No limit is raised: one that the operator has set stays.
fn limit(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    let set = getrlimit(resource);
    let lower = |wanted: u64, set: Option<u64>| Some(set.map_or(wanted, |set| set.min(wanted)));
    let maximum = lower(maximum, set.maximum);
    let current = lower(current, maximum.into_iter().chain(set.current).min());
    Ok(setrlimit(resource, Rlimit { current, maximum })?)
}

/// Bytes that this process has in the mappings that `RLIMIT_DATA` counts.
fn data_bytes() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    data_bytes_of(&status).ok_or_else(|| io::Error::other("/proc/self/status has no VmData"))
}

fn data_bytes_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_words_are_read() {
        assert_eq!(
            data_bytes_of("VmSize:\t  9 kB\nVmData:\t    1234 kB\nVmStk: 1 kB"),
            Some(1_263_616)
        );
        assert_eq!(data_bytes_of("Name: x\n"), None);
        assert!(data_bytes().unwrap() > 0);
    }
}
