// The bank's side of the contest: its five clients, its two routes, and what is sent to them.

import http from 'k6/http';

export const BASE_URL = (__ENV.BASE_URL || 'http://127.0.0.1:9999').replace(/\/+$/, '');

// Client id → limit, in cents. Every balance is zero at first; client 6 must not exist.
export const LIMITS = { 1: 100000, 2: 80000, 3: 1000000, 4: 10000000, 5: 500000 };

export const statementUrl = (client) => `${BASE_URL}/clientes/${client}/extrato`;
export const transactionUrl = (client) => `${BASE_URL}/clientes/${client}/transacoes`;

// POSTs `body`, an object; `params.headers` go along with the content type.
export function transact(client, body, params = {}) {
  const headers = { 'Content-Type': 'application/json', ...params.headers };
  return http.asyncRequest('POST', transactionUrl(client), JSON.stringify(body), { ...params, headers });
}

export const randomClient = () => between(1, 5);

export const randomTransaction = (tipo) => ({ valor: between(1, 10000), tipo, descricao: alphanumeric(10) });

function between(low, high) {
  return low + Math.floor(Math.random() * (high - low + 1));
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

function alphanumeric(length) {
  let text = '';
  while (text.length < length) text += ALPHABET[Math.floor(Math.random() * ALPHABET.length)];
  return text;
}
