// An identity provider that the project did not write: npm `oidc-provider`, certified by the OpenID
// Foundation. `node provider.mjs PORT CONFIGURATION` serves it until standard input ends.
import { Provider } from "oidc-provider";

const [port, configuration] = [Number(process.argv[2]), JSON.parse(process.argv[3])];
const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  clients: configuration.clients,
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  features: { claimsParameter: { enabled: true }, devInteractions: { enabled: true } },
  acrValues: ["phr"],
  // Whoever signs in as NAME has the account NAME at acme.example.
  findAccount: (ctx, name) => ({
    accountId: name,
    claims: () => ({ sub: name, email: `${name}@acme.example`, email_verified: true }),
  }),
});
provider.listen(port, "127.0.0.1", () => console.log("serving"));
process.stdin.on("end", () => process.exit(0)).resume();
