#version 450

// Builds a bloom pyramid: up to four mip levels in a single dispatch.
//
// Each work group turns a 32 x 32 region of the source into 16 x 16, 8 x 8,
// 4 x 4 and 2 x 2 texels. The first level uses a 13-tap filter with weights
// by luminance, which stops single bright pixels ("fireflies") from
// flickering; later levels are plain 2 x 2 averages through shared memory.

layout(local_size_x = 16, local_size_y = 16) in;

layout(set = 0, binding = 0) uniform sampler2D uSource;
layout(set = 0, binding = 1, r11f_g11f_b10f) uniform writeonly image2D uLevel1;
layout(set = 0, binding = 2, r11f_g11f_b10f) uniform writeonly image2D uLevel2;
layout(set = 0, binding = 3, r11f_g11f_b10f) uniform writeonly image2D uLevel3;
layout(set = 0, binding = 4, r11f_g11f_b10f) uniform writeonly image2D uLevel4;

layout(push_constant) uniform Settings {
    vec2 sourceTexel;   // 1 / size of the source
    float threshold;    // scene luminance where bloom begins
    float knee;         // width of the soft transition
    int levels;         // 1 ... 4
    float exposure;
} settings;

shared vec3 sTexels[16][16];

float luminance(vec3 c)
{
    return dot(c, vec3(0.2126, 0.7152, 0.0722));
}

vec3 fetch(vec2 uv, float dx, float dy)
{
    vec3 c = textureLod(uSource, uv + vec2(dx, dy) * settings.sourceTexel, 0.0).rgb;
    // A NaN in the scene must not spread over half the screen.
    return mix(c, vec3(0.0), isnan(c)) * settings.exposure;
}

// Quadratic curve within the knee, linear above it.
vec3 prefilter(vec3 c)
{
    float brightness = max(c.r, max(c.g, c.b));
    float soft = clamp(brightness - settings.threshold + settings.knee, 0.0, 2.0 * settings.knee);
    soft = soft * soft / (4.0 * settings.knee + 1e-4);
    float contribution = max(soft, brightness - settings.threshold);
    return c * contribution / max(brightness, 1e-4);
}

// Average of four, each weighted by 1 / (1 + luminance).
vec3 tamedAverage(vec3 a, vec3 b, vec3 c, vec3 d)
{
    vec4 w = 1.0 / (1.0 + vec4(luminance(a), luminance(b), luminance(c), luminance(d)));
    return (a * w.x + b * w.y + c * w.z + d * w.w) / (w.x + w.y + w.z + w.w);
}

// Thirteen taps in two grids: nine at even offsets, four at odd ones. They
// form five overlapping boxes; the inner one counts as much as the four outer
// ones together.
vec3 thirteenTaps(vec2 uv)
{
    vec3 outer[9];
    for (int n = 0; n < 9; ++n)
        outer[n] = fetch(uv, float(n % 3) * 2.0 - 2.0, float(n / 3) * 2.0 - 2.0);

    vec3 corners = vec3(0.0);
    for (int n = 0; n < 4; ++n) {
        int first = n % 2 + n / 2 * 3;
        corners += tamedAverage(outer[first], outer[first + 1], outer[first + 3], outer[first + 4]);
    }
    vec3 inner = tamedAverage(fetch(uv, -1.0, -1.0), fetch(uv, 1.0, -1.0),
                              fetch(uv, -1.0, 1.0), fetch(uv, 1.0, 1.0));
    return 0.5 * inner + 0.125 * corners;
}

vec3 boxFromShared(ivec2 at)
{
    return 0.25 * (sTexels[at.y][at.x] + sTexels[at.y][at.x + 1]
                 + sTexels[at.y + 1][at.x] + sTexels[at.y + 1][at.x + 1]);
}

void main()
{
    ivec2 local = ivec2(gl_LocalInvocationID.xy);
    ivec2 group = ivec2(gl_WorkGroupID.xy);
    ivec2 texel = ivec2(gl_GlobalInvocationID.xy);

    // The centre of the 2 x 2 source texels below this target texel.
    vec2 uv = (vec2(texel) * 2.0 + 1.0) * settings.sourceTexel;
    vec3 value = prefilter(thirteenTaps(uv));
    imageStore(uLevel1, texel, vec4(value, 1.0));   // outside stores are dropped
    if (settings.levels == 1)
        return;     // uniform for the dispatch, so no barrier is skipped by some

    sTexels[local.y][local.x] = value;
    barrier();

    bool active8 = all(lessThan(local, ivec2(8)));
    if (active8) {
        value = boxFromShared(local * 2);
        imageStore(uLevel2, group * 8 + local, vec4(value, 1.0));
    }
    barrier();      // everybody has read before anybody overwrites
    if (active8)
        sTexels[local.y][local.x] = value;
    barrier();

    if (settings.levels < 3)
        return;
    bool active4 = all(lessThan(local, ivec2(4)));
    if (active4) {
        value = boxFromShared(local * 2);
        imageStore(uLevel3, group * 4 + local, vec4(value, 1.0));
    }
    barrier();
    if (active4)
        sTexels[local.y][local.x] = value;
    barrier();

    if (settings.levels == 4 && all(lessThan(local, ivec2(2)))) {
        value = boxFromShared(local * 2);
        imageStore(uLevel4, group * 2 + local, vec4(value, 1.0));
    }
}
