#version 330 core

// A paper lantern over water, drawn entirely from signed distances.
// The scene is small on purpose: the technique is the point. Distances are
// joined with a filleted minimum, the glow comes from the march itself, and the
// water perturbs the reflected ray instead of being modelled.

uniform vec2 uResolution;
uniform float uTime;
uniform vec2 uOrbit;        // yaw, pitch in radians

out vec4 fragColour;

const int MAX_STEPS = 110;
const float FAR = 40.0;
const float EPSILON = 8e-4;

const int MAT_PAPER = 1;
const int MAT_WOOD = 2;

struct Hit {
    float distance;
    int material;
};

mat2 rotation(float angle)
{
    float s = sin(angle), c = cos(angle);
    return mat2(c, -s, s, c);
}

// All of the lantern is turned around the y axis, so most shapes can be given
// as distances in the half plane (radius, height).
vec2 profile(vec3 p)
{
    return vec2(length(p.xz), p.y);
}

float ringDistance(vec3 p, float radius, float thickness)
{
    return distance(profile(p), vec2(radius, 0.0)) - thickness;
}

// A vertical cord from y = low to y = high.
float cordDistance(vec3 p, float low, float high, float thickness)
{
    p.y -= clamp(p.y, low, high);
    return length(p) - thickness;
}

// Minimum with a fillet of the given width, by a cubic in the overlap.
float filletMin(float a, float b, float width)
{
    float overlap = clamp(1.0 - abs(a - b) / width, 0.0, 1.0);
    return min(a, b) - overlap * overlap * overlap * width / 6.0;
}

Hit nearest(Hit a, Hit b)
{
    return a.distance < b.distance ? a : b;
}

Hit scene(vec3 p)
{
    // The lantern swings from a point three metres up.
    p.y -= 3.0;
    p.xy = rotation(0.12 * sin(uTime * 1.3)) * p.xy;
    p.y += 3.0;
    vec3 q = p - vec3(0.0, 1.1, 0.0);

    // Ribs: the radius varies with a folded sine along the height.
    float ribs = 0.02 * abs(sin(q.y * 18.0));
    float body = length(q * vec3(1.0, 0.8, 1.0)) - 0.7;
    float paper = abs(filletMin(body, ringDistance(q, 0.55, 0.18), 0.2) + ribs) - 0.012;
    paper = max(paper, abs(q.y) - 0.62) * 0.7;      // the ribs bend the metric

    // Two hoops, mirrored in the middle plane; a knob; the cord.
    float wood = ringDistance(vec3(q.x, abs(q.y) - 0.62, q.z), 0.42, 0.035);
    wood = min(wood, ringDistance(q + vec3(0.0, 0.68, 0.0), 0.0, 0.1));
    wood = min(wood, cordDistance(q, 0.6, 1.9, 0.012));

    return nearest(Hit(paper, MAT_PAPER), Hit(wood, MAT_WOOD));
}

// Forward differences: the distance at the point itself is known to be small.
vec3 normalAt(vec3 p)
{
    float here = scene(p).distance;
    vec3 there = vec3(scene(p + vec3(EPSILON, 0.0, 0.0)).distance,
                      scene(p + vec3(0.0, EPSILON, 0.0)).distance,
                      scene(p + vec3(0.0, 0.0, EPSILON)).distance);
    return normalize(there - here);
}

vec3 sky(vec3 d)
{
    vec3 dusk = mix(vec3(0.28, 0.13, 0.14), vec3(0.02, 0.03, 0.09), pow(max(d.y, 0.0), 0.45));
    uvec3 cell = uvec3(ivec3(floor(d * 190.0)) + 512);
    uint h = (cell.x * 2654435761u) ^ (cell.y * 2246822519u) ^ (cell.z * 3266489917u);
    h = (h ^ (h >> 15)) * 668265263u;
    return dusk + (h < 6000000u ? 0.8 : 0.0) * smoothstep(0.1, 0.5, d.y);
}

// Marches a ray and returns its colour; `glow` gathers light near the paper.
vec3 trace(vec3 origin, vec3 direction)
{
    float t = 0.0, glow = 0.0;
    vec3 colour = sky(direction);
    for (int i = 0; i < MAX_STEPS && t < FAR; ++i) {
        vec3 p = origin + direction * t;
        Hit hit = scene(p);
        if (hit.material == MAT_PAPER)
            glow += 0.0035 / (0.02 + hit.distance * hit.distance);
        if (hit.distance < EPSILON * max(t, 1.0)) {
            vec3 n = normalAt(p);
            float rim = pow(1.0 - abs(dot(n, direction)), 2.0);
            vec3 flame = vec3(1.0, 0.55, 0.2) * (0.9 + 0.1 * sin(uTime * 9.0) * sin(uTime * 13.7));
            float depth = 1.0 - clamp(abs(p.y - 1.0) / 0.8, 0.0, 1.0);
            colour = hit.material == MAT_PAPER
                ? flame * (0.35 + 0.9 * depth) * (1.0 - 0.5 * rim)
                : vec3(0.09, 0.05, 0.03) * (0.4 + 0.6 * max(n.y, 0.0)) + 0.06 * rim;
            break;
        }
        t += hit.distance;
    }
    return colour + min(glow, 1.2) * vec3(1.0, 0.45, 0.15) * 0.35;
}

void main()
{
    vec2 uv = (2.0 * gl_FragCoord.xy - uResolution) / uResolution.y;
    vec3 direction = normalize(vec3(uv, -1.8));
    direction.yz = rotation(uOrbit.y) * direction.yz;
    direction.xz = rotation(uOrbit.x) * direction.xz;
    vec3 eye = vec3(0.0, 1.4, 0.0);
    eye.xz += rotation(uOrbit.x) * vec2(0.0, 4.5);

    vec3 colour = trace(eye, direction);
    float toWater = -eye.y / direction.y;
    if (direction.y < 0.0 && toWater < FAR) {
        vec2 w = (eye + direction * toWater).xz;
        vec2 slope = 0.05 * vec2(cos(w.x * 7.0 + uTime * 2.0), sin(w.y * 9.0 - uTime * 1.6));
        vec3 n = normalize(vec3(slope.x, 1.0, slope.y));
        float fresnel = 0.04 + 0.96 * pow(1.0 - max(dot(n, -direction), 0.0), 5.0);
        colour = mix(vec3(0.01, 0.02, 0.03), trace(vec3(w.x, 0.01, w.y), reflect(direction, n)), fresnel);
    }
    fragColour = vec4(pow(colour / (1.0 + colour), vec3(1.0 / 2.2)), 1.0);
}
