// Drawing clients and transactions, as cheaply as it can be done.

import { randomTransaction } from './bank.js';

// Transactions that are made before the load, and sent again and again.
const BODIES = 60;

// Bodies of transactions, a share of `credits` among them.
export function readyBodies(credits) {
  const made = Array.from({ length: BODIES }, (_, index) => (index < Math.round(credits * BODIES) ? 'c' : 'd'));
  return made.map((tipo) => JSON.stringify(randomTransaction(tipo)));
}

// A function that draws one of `clients`, from 1 on: client n in proportion to 1/n^exponent.
export function chooser(clients, exponent) {
  if (exponent === 0) return () => 1 + Math.floor(Math.random() * clients);
  const sums = new Float64Array(clients);
  let sum = 0;
  for (let n = 1; n <= clients; n += 1) {
    sum += 1 / n ** exponent;
    sums[n - 1] = sum;
  }
  return () => 1 + firstAbove(sums, Math.random() * sum);
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
