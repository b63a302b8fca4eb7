-- Segments of the log (WAL) for what is to come.
--
-- A fresh server has none to use again: whoever first needs the next one fills 16MB with zeros and syncs
-- them, and every commit waits for that long. Four are used up here for nothing, which the checkpoint
-- then keeps to be used again (min_wal_size, sql/settings).

DO $$
BEGIN
    FOR _ IN 1..4 LOOP
        PERFORM pg_logical_emit_message(false, 'guiche', '');  -- a switch of an empty segment is none
        PERFORM pg_switch_wal();
    END LOOP;
END $$;

CHECKPOINT;
