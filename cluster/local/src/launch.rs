//! The step between the supervisor and a part: a process that asks to be killed when its parent dies, then becomes the part.
//!
//! So nothing is left behind when the supervisor is killed with -9. The request outlives `exec`, and to make it between `fork`
//! and `exec` of the supervisor itself would take `unsafe`.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// The first argument of a program that is to become another.
pub const LAUNCH: &str = "launch";

/// Becomes the program that the arguments after [`LAUNCH`] name: the parent's id, the program, its arguments. Returns only if
/// that fails.
pub fn become_part(mut args: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let parent = args.next().as_deref().and_then(OsStr::to_str).and_then(|id| id.parse().ok());
    let program = args.next().context("which program?")?;
    // Killed, not asked: whatever state it is in, also stopped, and everything here bears it.
    set_parent_process_death_signal(Some(Signal::KILL)).context("nobody would end this process")?;
    if getppid() != parent.and_then(Pid::from_raw) {
        bail!("the supervisor has ended");
    }
    let error = Command::new(&program).args(args).exec();
    Err(error).with_context(|| program.display().to_string())
}
