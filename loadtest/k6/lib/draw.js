// Drawing clients and transactions, as cheaply as it can be done.

import { randomTransaction } from './bank.js';

// Transactions that are made before the load, and sent again and again.
const BODIES = 60;

// Bodies of transactions, a share of `credits` among them.
export function readyBodies(credits) {
  const made = Array.from({ length: BODIES }, (_, index) => (index < Math.round(credits * BODIES) ? 'c' : 'd'));
  return made.map((tipo) => JSON.stringify(randomTransaction(tipo)));
}

// So many clients are told apart exactly; between those beyond them, whose chances are nearly alike, the law is drawn
// as if it were continuous: it is off by less than a millionth, and takes no list of a million numbers from each user.
const EXACT = 1000;

// A function that draws one of `clients`, from 1 on: client n in proportion to 1/n^exponent.
export function chooser(clients, exponent) {
  if (exponent === 0) return () => 1 + Math.floor(Math.random() * clients);
  const exact = Math.min(clients, EXACT);
  const sums = new Float64Array(exact);
  let sum = 0;
  for (let n = 1; n <= exact; n += 1) {
    sum += 1 / n ** exponent;
    sums[n - 1] = sum;
  }
  // What 1/x^exponent adds up to below x, and where it has added up to so much.
  const area = exponent === 1 ? Math.log : (x) => x ** (1 - exponent) / (1 - exponent);
  const below = exponent === 1 ? Math.exp : (y) => (y * (1 - exponent)) ** (1 / (1 - exponent));
  const [least, most] = [area(exact + 0.5), area(clients + 0.5)];
  const all = sum + most - least;
  return () => {
    const drawn = Math.random() * all;
    if (drawn < sum) return 1 + firstAbove(sums, drawn);
    return Math.min(clients, Math.max(exact + 1, Math.round(below(least + drawn - sum))));
  };
}

// The index of the first of the rising `sums` that is above `value`, or the last index.
function firstAbove(sums, value) {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
