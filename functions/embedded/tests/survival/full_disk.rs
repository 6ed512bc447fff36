//! A full disk: 503, nothing lost, and it goes on by itself when there is room again.

use crate::alone;
use crate::ledger::{Writer, check};
use crate::support::allezon::Home;
use crate::support::small_disk::SmallDisk;
use crate::support::{eventually, skip};

#[test]
fn goes_on_by_itself_and_loses_nothing() {
    let _alone = alone();
    let Some(disk) = SmallDisk::mount(300) else {
        return skip("goes_on_by_itself_and_loses_nothing", "this user may not mount a small disk");
    };
    let home = Home::at(&disk.path().join("data"));
    let mut server = Some(home.start(&["--log-level", "warn"]));
    // Large tags, so that what files have in reserve is soon used up.
    let mut writers = vec![Writer::new(0).padded(60_000), Writer::new(1)];
    for round in 0..3 {
        let running = server.take().unwrap_or_else(|| home.start(&[]));
        let minute = 3 * round;
        for writer in &mut writers {
            writer.write(running.address, minute, 20);
        }
        disk.fill();
        eventually(|| {
            let refused = |writers: &[Writer]| writers[0].statuses.get(&503).copied().unwrap_or_default();
            let before = refused(&writers);
            writers[0].write(running.address, minute + 1, 10);
            if refused(&writers) >= before + 10 { Ok(()) } else { Err("a full disk takes tags".into()) }
        });
        writers[1].write(running.address, minute + 1, 5);
        // Nobody starts it anew in the first two rounds; in the last it is killed on the full disk.
        if round == 2 {
            running.kill();
            disk.free();
        } else {
            disk.free();
            eventually(|| {
                let before = writers[1].answered();
                writers[1].write(running.address, minute + 2, 1);
                if writers[1].answered() > before {
                    Ok(())
                } else {
                    Err(format!("it does not go on: {}", running.log()))
                }
            });
            check(&running, &writers);
            server = Some(running);
        }
    }
    let running = home.start(&[]);
    check(&running, &writers);
    assert!(running.terminate().success());
    check(&home.start(&[]), &writers);
}

#[test]
fn a_start_without_room_says_so_and_spoils_nothing() {
    let _alone = alone();
    let Some(disk) = SmallDisk::mount(300) else {
        return skip(
            "a_start_without_room_says_so_and_spoils_nothing",
            "this user may not mount a small disk",
        );
    };
    let home = Home::at(&disk.path().join("data"));
    let mut writers = [Writer::new(0).padded(10_000)];
    let server = home.start(&[]);
    writers[0].write(server.address, 0, 30);
    server.kill();
    disk.fill();
    if let Err(status) = home.spawn(&[]).listens_or_ends() {
        assert!(!status.success());
        let log = home.log();
        assert!(log.contains("room") || log.contains("space"), "{log}");
    }
    disk.free();
    check(&home.start(&[]), &writers);
}
