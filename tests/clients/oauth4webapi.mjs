// A device that knows only RFC 6749, 7009, 7662, 8414, 9396 and 9449, by oauth4webapi. What it is told
// comes as JSON on standard input, what it saw goes as JSON to standard output.
import { createHash, webcrypto } from 'node:crypto'
import * as oauth from 'oauth4webapi'

const told = JSON.parse(await new Response(process.stdin).text())
const insecure = { [oauth.allowInsecureRequests]: true } // the test's issuer is on loopback
const issuer = new URL(told.issuer)
const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
const as = await oauth.processDiscoveryResponse(issuer, found)

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
const { d, ...open } = told.key
const privateKey = await webcrypto.subtle.importKey('jwk', told.key, algorithm, false, ['sign'])
const publicKey = await webcrypto.subtle.importKey('jwk', open, algorithm, true, ['verify'])

const client = { client_id: told.device }
let handle = ''
const auth = oauth.PrivateKeyJwt(privateKey, {
  [oauth.modifyAssertion]: (header, payload) => {
    header.typ = 'JWT'
    if (handle) payload.ratchet = handle
  },
})
// The documented hook sees no body, so what is to be signed over waits here for its request.
let body
const dpop = oauth.DPoP(client, { privateKey, publicKey }, {
  [oauth.modifyAssertion]: (header, payload) => {
    if (body !== undefined) {
      payload.content_digest = `sha-256=:${createHash('sha256').update(body).digest('base64')}:`
    }
  },
})

const details = [{ type: 'bailment_access', purpose: told.purpose, models: [told.model] }]
async function token(again = true) {
  const parameters = { authorization_details: JSON.stringify(details) }
  const asked = await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, {
    DPoP: dpop,
    ...insecure,
  })
  try {
    const answer = await oauth.processClientCredentialsResponse(as, client, asked)
    handle = answer.ratchet
    return answer
  } catch (error) {
    if (again && oauth.isDPoPNonceError(error)) return token(false)
    throw error
  }
}

async function call(access, method, path, sent) {
  const headers = new Headers(sent ? { 'content-type': 'application/json' } : {})
  const url = new URL(path, issuer)
  body = sent
  try {
    const use = () =>
      oauth.protectedResourceRequest(access, method, url, headers, sent, { DPoP: dpop, ...insecure })
    const answer = await use().catch((error) => {
      if (oauth.isDPoPNonceError(error)) return use()
      throw error
    })
    return { status: answer.status, body: await answer.json() }
  } catch (error) {
    return { status: error.status, body: await error.response.json() }
  } finally {
    body = undefined
  }
}

const first = await token()
const second = await token()
const question = JSON.stringify({
  model: told.model,
  messages: [{ role: 'user', content: 'hello' }],
  max_tokens: 16,
})
const listed = await call(second.access_token, 'GET', '/v1/models')
const answered = await call(second.access_token, 'POST', '/v1/chat/completions', question)
const state = await oauth.processIntrospectionResponse(
  as, client, await oauth.introspectionRequest(as, client, auth, second.access_token, insecure))
await oauth.processRevocationResponse(
  await oauth.revocationRequest(as, client, auth, second.access_token, insecure))
const after = await call(second.access_token, 'GET', '/v1/models')
const other = await call(first.access_token, 'GET', '/v1/models')
const seen = { first, second, listed, answered, state, after, other }
process.stdout.write(JSON.stringify(seen))
