// Bilateral blur with a threadgroup tile.
//
// Each threadgroup loads its tile and a border once and then works from
// threadgroup memory: with a radius of 4 every texel is needed by up to 81
// threads. The range weight uses luminance only, which keeps chroma edges soft.

#include <metal_stdlib>
using namespace metal;

constant constexpr int kRadius = 4;
constant constexpr int kTile = 16;
constant constexpr int kPadded = kTile + 2 * kRadius;

// Specialised when the pipeline is built; see MTLFunctionConstantValues.
constant bool kPremultiplied [[function_constant(0)]];

struct BlurSettings {
    float spatialSigma;
    float rangeSigma;   // in luminance units, 0 ... 1
    float strength;     // 0 keeps the source, 1 replaces it
};

static inline float luminance(half3 rgb)
{
    return dot(float3(rgb), float3(0.2126f, 0.7152f, 0.0722f));
}

static inline half4 unpremultiply(half4 c)
{
    return c.a > 0.0h ? half4(c.rgb / c.a, c.a) : half4(0.0h);
}

kernel void bilateralBlur(texture2d<half, access::read>  source   [[texture(0)]],
                          texture2d<half, access::write> target   [[texture(1)]],
                          constant BlurSettings         &settings [[buffer(0)]],
                          uint2 gid  [[thread_position_in_grid]],
                          uint2 lid  [[thread_position_in_threadgroup]],
                          uint2 group [[threadgroup_position_in_grid]])
{
    threadgroup half4 tile[kPadded][kPadded];

    const int2 size = int2(source.get_width(), source.get_height());
    const int2 origin = int2(group) * kTile - kRadius;

    // 24 * 24 texels for 16 * 16 threads: each thread loads up to four.
    for (int y = int(lid.y); y < kPadded; y += kTile) {
        for (int x = int(lid.x); x < kPadded; x += kTile) {
            const int2 at = clamp(origin + int2(x, y), int2(0), size - 1);
            half4 texel = source.read(uint2(at));
            tile[y][x] = kPremultiplied ? unpremultiply(texel) : texel;
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);

    // Only now may threads outside the image leave: all must reach the barrier.
    if (int(gid.x) >= size.x || int(gid.y) >= size.y) {
        return;
    }

    const int2 centre = int2(lid) + kRadius;
    const half4 original = tile[centre.y][centre.x];
    const float centreLuma = luminance(original.rgb);

    const float spatialScale = -0.5f / (settings.spatialSigma * settings.spatialSigma);
    const float rangeScale = -0.5f / (settings.rangeSigma * settings.rangeSigma);

    float3 sum = float3(0.0f);
    float weights = 0.0f;
    for (int dy = -kRadius; dy <= kRadius; ++dy) {
        for (int dx = -kRadius; dx <= kRadius; ++dx) {
            const half4 neighbour = tile[centre.y + dy][centre.x + dx];
            const float difference = luminance(neighbour.rgb) - centreLuma;
            const float distance2 = float(dx * dx + dy * dy);
            const float w = fast::exp(distance2 * spatialScale
                                      + difference * difference * rangeScale)
                            * float(neighbour.a);
            sum += w * float3(neighbour.rgb);
            weights += w;
        }
    }

    // A fully transparent neighbourhood has no colour to average.
    const half3 blurred = weights > 1e-6f ? half3(sum / weights) : original.rgb;
    half4 result = half4(mix(original.rgb, blurred, half3(settings.strength)), original.a);
    if (kPremultiplied) {
        result.rgb *= result.a;
    }
    target.write(result, gid);
}
