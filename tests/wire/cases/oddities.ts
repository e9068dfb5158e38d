export const oddityCases = [];
