// How many requests of what kind, and for how long.
//
// The opening and the rules of the clients are 25 + 1 + 25 + 1 + 5 × 14 + 1 = 123 requests. The
// open load is the area under its rates: with 120 s and 120 s, 39,660 debits, 19,860 credits and
// 1,860 statements. Together 61,503, as in the official simulation.

const QUICK = __ENV.QUICK === '1';

export const RAMP_SECONDS = Number(__ENV.RAMP || (QUICK ? 10 : 120));
export const PLATEAU_SECONDS = Number(__ENV.PLATEAU || (QUICK ? 10 : 120));

// Requests per second at the end of the ramp and all through the plateau.
export const PEAKS = { debits: 220, credits: 110, statements: 10 };

export const OPERATIONS = ['validations', ...Object.keys(PEAKS)];
