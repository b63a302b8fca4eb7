-- The five clients of the contest, balance 0; a client 6 must not exist. Limits in cents.
--
-- After 10-tables.sql. A second run fails on the primary key and changes nothing.

INSERT INTO clientes (id, limite, saldo) VALUES
    (1,   100000, 0),
    (2,    80000, 0),
    (3,  1000000, 0),
    (4, 10000000, 0),
    (5,   500000, 0);
