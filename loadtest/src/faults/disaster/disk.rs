//! A disk that is full, or slow.

use std::time::Duration;

use anyhow::{Context, Result};
use testbed::cluster::connect;

use super::PAUSE;
use super::site::Site;

/// What is free beside the table until the disk is full, in bytes.
const ROOM_BYTES: u64 = 32 * 1024 * 1024;

/// What each fsync takes longer on a slow disk.
const SLOW: Duration = Duration::from_millis(50);

/// Moves the table to a small disk, fills that, makes room and moves it back.
pub(super) async fn fill_table(site: &Site<'_>) -> Result<()> {
    let cluster = site.cluster.read().await;
    let admin = connect(&site.admin_url).await?;
    let row = admin.query_one("SELECT pg_total_relation_size('transacoes')", &[]).await?;
    let bytes: i64 = row.try_get(0)?;
    let disk = cluster.small_disk("small", bytes.unsigned_abs() + ROOM_BYTES)?;
    let location = disk.path().display();
    admin.batch_execute(&format!("CREATE TABLESPACE small LOCATION '{location}'")).await?;
    let move_to = async |place: &str| {
        let sql = format!("ALTER TABLE transacoes SET TABLESPACE {place}");
        admin.batch_execute(&sql).await.with_context(|| format!("cannot move the table to {place}"))
    };
    move_to("small").await?;
    let full = disk.fill();
    tokio::time::sleep(PAUSE).await;
    disk.make_room()?;
    // Back in any case: what is on the small disk goes with it.
    move_to("pg_default").await?;
    // A checkpoint removes the files of what was moved away.
    for sql in ["CHECKPOINT", "DROP TABLESPACE small"] {
        admin.batch_execute(sql).await.with_context(|| format!("cannot execute {sql}"))?;
    }
    full
}

/// Puts the write-ahead log on a small disk, fills that, and starts PostgreSQL again, which does not survive it.
pub(super) async fn fill_log(site: &Site<'_>) -> Result<()> {
    let mut cluster = site.cluster.write().await;
    let disk = cluster.shrink_log().await?;
    let full = disk.fill();
    if let Ok(admin) = connect(&site.admin_url).await {
        // Needs the next segment, and ends in an error once there is none.
        for _ in 0..3 {
            let _ = admin
                .batch_execute("SELECT pg_switch_wal(); SELECT pg_logical_emit_message(true, 'a', 'b')")
                .await;
        }
    }
    tokio::time::sleep(PAUSE).await;
    disk.make_room()?;
    if cluster.pid().is_none() {
        cluster.start_again().await?;
    }
    cluster.widen_log(disk).await?;
    full
}

/// Has each fsync take longer, for a while.
pub(super) async fn slow(site: &Site<'_>) -> Result<()> {
    let mut cluster = site.cluster.write().await;
    cluster.delay_fsync(SLOW).await?;
    tokio::time::sleep(PAUSE).await;
    cluster.delay_fsync(Duration::ZERO).await
}
