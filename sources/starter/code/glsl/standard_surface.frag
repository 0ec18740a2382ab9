#version 450

// Metallic-roughness surface with a microfacet specular lobe, clear coat,
// point and spot lights from a per-tile list, and image-based ambient light.

layout(location = 0) in vec3 inWorld;
layout(location = 1) in vec3 inNormal;
layout(location = 2) in vec4 inTangent;
layout(location = 3) in vec2 inUv;

layout(location = 0) out vec4 outColour;

layout(set = 0, binding = 0) uniform Frame {
    mat4 view;
    vec3 eye;
    uint tilesPerRow;
    float ambientMips;
} frame;

struct Light {
    vec3 position;
    float range;
    vec3 intensity;         // candela, per channel
    float spotScale;        // 0 for point lights
    vec3 direction;
    float spotOffset;
};

layout(set = 0, binding = 1, std430) readonly buffer Lights { Light lights[]; };
layout(set = 0, binding = 2, std430) readonly buffer Tiles { uvec2 tiles[]; };   // first, count
layout(set = 0, binding = 3, std430) readonly buffer Indices { uint lightIndices[]; };
layout(set = 0, binding = 4) uniform samplerCube irradianceMap;
layout(set = 0, binding = 5) uniform samplerCube specularMap;
layout(set = 0, binding = 6) uniform sampler2D brdfTable;

layout(set = 1, binding = 0) uniform sampler2D baseColourMap;
layout(set = 1, binding = 1) uniform sampler2D ormMap;      // occlusion, roughness, metal
layout(set = 1, binding = 2) uniform sampler2D normalMap;

layout(push_constant) uniform Material {
    vec4 baseColour;
    float roughness;
    float metalness;
    float coat;
    float coatRoughness;
} material;

const float PI = 3.14159265359;
const uint TILE = 16u;

struct Surface {
    vec3 normal;            // with the normal map
    vec3 coatNormal;        // without: the lacquer is smooth
    vec3 view;
    vec3 diffuse;
    vec3 f0;
    float alpha;
    float coatAlpha;
    float nDotV;
};

float distributionGgx(float nDotH, float alpha)
{
    float a2 = alpha * alpha;
    float d = (nDotH * a2 - nDotH) * nDotH + 1.0;
    return a2 / (PI * d * d);
}

// Height-correlated masking and shadowing: G / (4 n.l n.v).
float visibilityTerm(float nDotL, float nDotV, float alpha)
{
    float a2 = alpha * alpha;
    float viewTerm = nDotL * sqrt((nDotV - a2 * nDotV) * nDotV + a2);
    float lightTerm = nDotV * sqrt((nDotL - a2 * nDotL) * nDotL + a2);
    return 0.5 / max(viewTerm + lightTerm, 1e-5);
}

vec3 fresnelTerm(float cosine, vec3 f0)
{
    float f = 1.0 - cosine;
    float f2 = f * f;
    return f0 + (1.0 - f0) * (f2 * f2 * f);
}

vec3 shade(Surface s, vec3 toLight, vec3 radiance)
{
    vec3 h = normalize(toLight + s.view);
    float nDotL = clamp(dot(s.normal, toLight), 0.0, 1.0);
    float nDotH = clamp(dot(s.normal, h), 0.0, 1.0);
    float vDotH = clamp(dot(s.view, h), 0.0, 1.0);

    vec3 fresnel = fresnelTerm(vDotH, s.f0);
    vec3 specular = fresnel * distributionGgx(nDotH, s.alpha)
                  * visibilityTerm(nDotL, s.nDotV, s.alpha);
    vec3 result = (s.diffuse / PI * (1.0 - fresnel) + specular) * nDotL;

    if (material.coat > 0.0) {
        float cDotL = clamp(dot(s.coatNormal, toLight), 0.0, 1.0);
        float cDotH = clamp(dot(s.coatNormal, h), 0.0, 1.0);
        float coatF = fresnelTerm(vDotH, vec3(0.04)).x * material.coat;
        float lobe = distributionGgx(cDotH, s.coatAlpha) * 0.25 / max(vDotH * vDotH, 1e-3);
        result = result * (1.0 - coatF) + coatF * lobe * cDotL;
    }
    return result * radiance;
}

vec3 lightContribution(Surface s, Light light)
{
    vec3 offset = light.position - inWorld;
    float distance2 = dot(offset, offset);
    vec3 toLight = offset * inversesqrt(distance2);
    // Inverse square, windowed so that it reaches zero at the range.
    float ratio = distance2 / (light.range * light.range);
    float window = clamp(1.0 - ratio * ratio, 0.0, 1.0);
    float cone = clamp(dot(-toLight, light.direction) * light.spotScale + light.spotOffset, 0.0, 1.0);
    return shade(s, toLight, light.intensity * (window * window * cone * cone / max(distance2, 1e-4)));
}

void main()
{
    vec4 base = texture(baseColourMap, inUv) * material.baseColour;
    vec3 orm = texture(ormMap, inUv).rgb;
    float roughness = clamp(orm.g * material.roughness, 0.045, 1.0);
    float metal = orm.b * material.metalness;

    vec3 n = normalize(inNormal);
    vec3 t = normalize(inTangent.xyz - n * dot(n, inTangent.xyz));
    vec3 bump = texture(normalMap, inUv).xyz * 2.0 - 1.0;

    Surface s;
    s.normal = normalize(mat3(t, cross(n, t) * inTangent.w, n) * bump);
    s.coatNormal = n;
    s.view = normalize(frame.eye - inWorld);
    s.diffuse = base.rgb * (1.0 - metal);
    s.f0 = mix(vec3(0.04), base.rgb, metal);
    s.alpha = roughness * roughness;
    s.coatAlpha = max(material.coatRoughness * material.coatRoughness, 0.002);
    s.nDotV = max(dot(s.normal, s.view), 1e-4);

    uvec2 tile = uvec2(gl_FragCoord.xy) / TILE;
    uvec2 range = tiles[tile.y * frame.tilesPerRow + tile.x];
    vec3 colour = vec3(0.0);
    for (uint i = range.x; i < range.x + range.y; ++i)
        colour += lightContribution(s, lights[lightIndices[i]]);

    vec2 brdf = texture(brdfTable, vec2(s.nDotV, roughness)).rg;
    vec3 reflected = textureLod(specularMap, reflect(-s.view, s.normal), roughness * frame.ambientMips).rgb;
    vec3 ambient = s.diffuse * texture(irradianceMap, s.normal).rgb + reflected * (s.f0 * brdf.x + brdf.y);
    outColour = vec4(colour + ambient * orm.r, base.a);
}
